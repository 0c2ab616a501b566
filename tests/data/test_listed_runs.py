"""Imported programs on their way to explanations."""

import dataclasses
import json
import platform

import pytest

from simex.core.errors import UserError
from simex.core.files import write_jsonl
from simex.data.builder import load_split
from simex.data.listed_runs import DealtRuns, FileRuns, ImportedRuns, deal
from simex.data.runs import CurriculumRuns, is_as_expected
from simex.jobs.explain_programs import explain_programs
from simex.problems.problem import Problem, TestCase, Visibility
from simex.problems.records import ProblemWithPrograms, from_record, to_record

DOUBLE = "print(int(input()) * 2)\n"
LOOP = "n = int(input())\nfor i in range(n):\n    pass\nprint(n)\n"
CALL = "def f(x):\n    return x + 1\nprint(repr(f(2)))\n"


def run_record(name, source, stdin, expected, **more):
    return {
        "id": name,
        "group": name.partition("/")[0],
        "split": "train",
        "license": "MIT",
        "origin": "contest_runs",
        "role": "right",
        "source": source,
        "stdin": stdin,
        "expected": expected,
    } | more


@pytest.fixture
def imported(tmp_path):
    """A folder as `import_problems` leaves it."""
    folder = tmp_path / "import_problems"
    runs = [
        run_record("loop/0", LOOP, "99999\n", "99999\n"),
        run_record("loop/1", LOOP, "3\n", "3\n"),
        run_record("long/0", LOOP, "88888\n", "88888\n"),
        run_record("liar/0", DOUBLE, "4\n", "9\n"),
    ]
    call = {
        **run_record("f/0", "", "", None),
        "origin": "function_calls",
        "program": CALL,
        "call": "f(2)",
        "stdout": "3\n",
    }
    del call["source"], call["expected"], call["stdin"], call["role"]
    test = TestCase(stdin="4\n", expected_stdout="8\n", visibility=Visibility.PUBLIC)
    problem = Problem(
        id="p",
        statement="Double it.",
        tests=(test,),
        checker="lines",
        source="contests",
        composition="p",
        license="CC-BY",
    )
    item = ProblemWithPrograms(
        problem=problem,
        right_programs=(DOUBLE,),
        wrong_programs=("print(int(input()) + 5)\n",),
        program_licenses={DOUBLE: "MIT"},
    )
    write_jsonl(folder / "runs.jsonl", runs)
    write_jsonl(folder / "functions.jsonl", [call])
    write_jsonl(folder / "train.jsonl", [to_record(item)])
    for split in ("validation", "test"):
        write_jsonl(folder / f"{split}.jsonl", [])
    return tmp_path


def test_short_inputs_come_first_and_each_program_brings_its_licence(imported):
    programs = list(ImportedRuns(inputs_per_program=1).programs(imported))
    found = [(p.runs[0].id, len(p.runs), p.runs[0].license) for p in programs]
    assert [(name.split("/")[:2], n, text) for name, n, text in found] == [
        (["f", "0"], 1, "MIT"),
        (["loop", "1"], 1, "MIT"),
        (["long", "0"], 1, "MIT"),
        (["liar", "0"], 1, "MIT"),
        (["p", "right"], 1, "MIT"),
        (["p", "wrong"], 1, "CC-BY"),
    ]


def test_right_and_wrong_solutions_can_be_taken_in_equal_numbers(imported):
    path = imported / "import_problems" / "train.jsonl"
    item = json.loads(path.read_text())
    item["wrong_programs"] += ["print(1)\n", "print(2)\n"]
    write_jsonl(path, [item])

    def roles(**settings):
        programs = ImportedRuns(**settings).programs(imported)
        return [p.runs[0].id.split("/")[1] for p in programs if p.runs[0].problem]

    assert roles() == ["right", "wrong", "wrong", "wrong"]
    assert roles(programs_per_role=1) == ["right", "wrong"]


def test_public_tests_are_run_whatever_their_length_and_then_the_shortest(imported):
    path = imported / "import_problems" / "train.jsonl"
    item = from_record(json.loads(path.read_text()))
    (public,) = item.problem.tests  # "4\n"; a second one is the longest of all
    longest = dataclasses.replace(public, stdin="44444\n")
    hidden = [
        dataclasses.replace(public, stdin=text, visibility=Visibility.PRIVATE)
        for text in ("5\n", "\n", "555\n")
    ]
    tests = (public, *hidden, longest)
    item = dataclasses.replace(
        item, problem=dataclasses.replace(item.problem, tests=tests)
    )
    write_jsonl(path, [to_record(item)])

    def chosen(most):
        programs = ImportedRuns(inputs_per_program=most).programs(imported)
        (right, wrong) = [p for p in programs if p.runs[0].problem]
        assert [r.stdin for r in right.runs] == [r.stdin for r in wrong.runs]
        return [run.stdin for run in right.runs]

    assert chosen(2) == ["4\n", "44444\n"]  # shorter inputs come first
    assert chosen(3) == ["\n", "4\n", "44444\n"]
    assert chosen(9) == ["\n", "4\n", "5\n", "555\n", "44444\n"]


@pytest.mark.slow
def test_every_imported_program_is_told_or_has_a_reason(imported):
    stage = imported / "explain"
    explain_programs(
        imported,
        stage,
        runs=ImportedRuns(),
        shard_size=3,
        max_events=200,
        max_chars=10_000,
        num_processes=1,
    )
    whole = json.loads((stage / "card.json").read_text())
    assert whole["sandbox"]["python"] == [platform.python_version()]
    assert len(whole["sandbox"]["backend"]) == 1  # the jail, and not "auto"
    assert whole["sandbox"]["backend"] != [whole["settings"]["backend"]]
    card = whole["splits"]["train"]
    assert card["programs"] == {
        # Of `loop` the short run is told; of `long` there is no short one.
        "contest_runs": {
            "kept": 1,
            "the trace is over 200 events": 1,
            "traced stdout differs from what is expected": 1,
        },
        "contests": {"kept": 2},
        "function_calls": {"kept": 1},
    }
    assert sum(card["runs"].values()) == 7 and card["runs"]["kept"] == 4
    assert card["licenses"] == {"CC-BY": 1, "MIT": 3}
    examples = {e.id: e for e in load_split(stage, "train")}
    call = examples["f/0/explain"]
    assert call.prompt.endswith("return x + 1\nassert f(2) == ??\n[/PYTHON]")
    assert call.target.endswith("[ANSWER]assert f(2) == 3[/ANSWER]")
    assert "| contest_runs | kept | 1 |" in (stage / "card.md").read_text()


def test_a_shard_holds_whole_programs_and_is_dealt_once(imported, tmp_path):
    dealt = tmp_path / "dealt"
    programs = list(ImportedRuns().programs(imported))
    assert deal(programs, dealt, shard_size=2) == {"train": 4}
    shards = [
        [
            run.id.split("/")[0]
            for run in DealtRuns(folder=str(dealt)).shard(
                "train", index, size=0, seed=0
            )
        ]
        for index in range(4)
    ]
    assert shards == [["f"], ["loop", "loop"], ["long", "liar"], ["p", "p"]]
    assert deal([], dealt, shard_size=2) == {"train": 4}  # as it is there


def test_what_would_spoil_a_dataset_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "runs.jsonl"

    def deal_lines(*lines):
        write_jsonl(path, [{"program": "", "stdin": ""} | line for line in lines])
        listed = FileRuns(path=str(path)).programs(tmp_path)
        return deal(listed, tmp_path / "dealt", shard_size=8)

    with pytest.raises(UserError, match="'a' comes twice"):
        deal_lines({"id": "a"}, {"id": "a"})
    with pytest.raises(UserError, match="'g' has runs in 'train' and 'test'"):
        deal_lines(
            {"id": "a", "group": "g"}, {"id": "b", "group": "g", "split": "test"}
        )
    with pytest.raises(UserError, match="at least one program"):
        deal_lines()
    with pytest.raises(UserError, match="only for them"):
        explain_programs(
            tmp_path, tmp_path, num_shards={"train": 1}, runs=ImportedRuns()
        )


def test_a_run_that_the_import_accepted_is_not_refused_for_its_form():
    said = {"expected": "3", "checker": "lines", "float_tol": None}
    assert is_as_expected("3\n", **said) and not is_as_expected("4\n", **said)
    assert not is_as_expected("3\n", **said | {"checker": "exact"})
    close = {"expected": "0.5\n", "checker": "lines", "float_tol": 0.1}
    assert is_as_expected("0.55\n", **close) and not is_as_expected("0.7\n", **close)
    assert is_as_expected("x", expected=None, checker="exact", float_tol=None)


def test_a_record_that_cannot_be_dealt_is_named(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"id": "half", "program": "print(\'\\ud800\')", "stdin": ""}\n')
    with pytest.raises(UserError, match=r"those of 'half' are not: 'utf-8' codec"):
        list(FileRuns(path=str(path)).programs(tmp_path))


@pytest.mark.parametrize("split", ["all", "a/b", ""])
def test_a_split_that_no_dataset_can_have_is_refused_before_anything_runs(
    tmp_path, split
):
    path = tmp_path / "runs.jsonl"
    write_jsonl(path, [{"id": "a", "program": "print(1)", "stdin": ""}])
    programs = FileRuns(path=str(path), split=split).programs(tmp_path)
    with pytest.raises(UserError, match="A split must be a name"):
        deal(programs, tmp_path, shard_size=1)


def test_each_wrong_program_that_is_asked_for_is_run():
    def roles(num_wrong):
        runs = CurriculumRuns(num_wrong=num_wrong, inputs_per_program=1)
        ids = [run.id for run in runs.shard("train", 0, size=60, seed=0)]
        assert len(set(ids)) == len(ids)
        return {name.split("/")[-2] for name in ids}

    assert roles(0) == {"right"} and roles(1) == {"right", "wrong"}
    assert roles(3) == {"right", "wrong", "wrong1", "wrong2"}
