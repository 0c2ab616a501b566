"""What right and wrong programs print, each within the limits of its problem."""

import dataclasses
import json

from simex.core.files import read_jsonl, write_jsonl
from simex.jobs.make_prediction_set import make_prediction_set
from simex.jobs.run_programs import SPLITS, _list_runs, run_programs
from simex.jobs.sandbox import SandboxConfig
from simex.problems.problem import Limits
from simex.problems.records import ProblemWithPrograms, to_record
from simex.tasks.predict_output import PredictionItem
from tests.scripted import PROBLEM, RIGHT

SANDBOX = SandboxConfig(num_workers=1)
HUNGRY = f"n = len('a' * 300 * 2**20)\n{RIGHT}"  # 300 MiB
NARROW = Limits(memory_mib=128)


def write_problems(folder, *limits):
    """`PROBLEM` once for each of the limits, all of one composition."""
    folder.mkdir()
    problems = [
        dataclasses.replace(PROBLEM, id=f"sum/{number}", limits=own)
        for number, own in enumerate(limits)
    ]
    items = [
        ProblemWithPrograms(problem=p, right_programs=(HUNGRY,), wrong_programs=())
        for p in problems
    ]
    text = "".join(json.dumps(to_record(item)) + "\n" for item in items)
    for split in SPLITS:
        (folder / f"{split}.jsonl").write_text(text if split == "test" else "")
    return problems


def test_programs_run_within_the_limits_of_their_problem(tmp_path):
    write_problems(tmp_path / "make_problems", Limits(), NARROW)
    run_programs(tmp_path, sandbox=SANDBOX)
    every = list(read_jsonl(tmp_path / "run_programs" / "test.all.jsonl"))
    assert [r.get("dropped") for r in every] == [None, "memory_limit"]
    (record,) = read_jsonl(tmp_path / "run_programs" / "test.jsonl")
    item = PredictionItem(**record)
    assert (item.stdout, item.run_limits) == ("3\n", Limits())


def test_a_prediction_set_keeps_the_limits_and_the_composition_of_problems(tmp_path):
    problems = write_problems(tmp_path / "make_problems", Limits(), NARROW)
    stage, solving = tmp_path / "set", tmp_path / "solving"
    stage.mkdir()
    solving.mkdir()
    candidates = [
        {"problem_id": p.id, "source": source, "is_right": True}
        for p in problems
        for source in (HUNGRY, RIGHT)
    ]
    lines = [json.dumps(candidate) + "\n" for candidate in candidates]
    (solving / "candidates.jsonl").write_text("".join(lines))
    make_prediction_set(tmp_path, stage, candidates="solving", sandbox=SANDBOX)
    found = [PredictionItem(**r) for r in read_jsonl(stage / "items.jsonl")]
    assert [item.id for item in found] == ["sum/0/0/0", "sum/0/1/0", "sum/1/1/0"]
    assert [item.run_limits for item in found] == [Limits(), Limits(), NARROW]
    assert {item.group for item in found} == {"sum"}  # twins, for the interval


def test_of_the_right_samples_of_a_problem_only_the_first_so_many_are_kept(tmp_path):
    (problem,) = write_problems(tmp_path / "make_problems", Limits())
    stage, solving = tmp_path / "set", tmp_path / "solving"
    stage.mkdir()
    solving.mkdir()
    # Samples 0, 1, 3 and 5 are right, 4 holds no program, 6 is beyond the first six.
    rights = [True, True, False, True, False, True, True]
    candidates = [
        {"problem_id": problem.id, "source": f"print({n})\n", "is_right": is_right}
        for n, is_right in enumerate(rights)
    ]
    candidates[4]["source"] = None
    lines = [json.dumps(candidate) + "\n" for candidate in candidates]
    (solving / "candidates.jsonl").write_text("".join(lines))
    make_prediction_set(
        tmp_path,
        stage,
        candidates="solving",
        max_per_problem=6,
        max_right_per_problem=3,
        sandbox=SANDBOX,
    )
    found = [r["id"] for r in read_jsonl(stage / "items.jsonl")]
    assert found == ["sum/0/0/0", "sum/0/1/0", "sum/0/2/0", "sum/0/3/0"]
    assert json.loads((stage / "report.json").read_text()) == {
        "right": 3,
        "samples beyond max_per_problem": 1,
        "samples beyond max_right_per_problem": 1,
        "samples without a program": 1,
        "wrong": 1,
    }


def test_several_programs_of_a_role_run_on_every_public_test(tmp_path):
    folder = tmp_path / "import_problems"
    (test, hidden) = PROBLEM.tests
    second = dataclasses.replace(test, stdin="2 2\n", expected_stdout="4\n")
    item = ProblemWithPrograms(
        problem=dataclasses.replace(PROBLEM, tests=(test, second, hidden)),
        right_programs=(RIGHT, f"{RIGHT}# again\n", f"{RIGHT}# and again\n"),
        wrong_programs=("print(0)\n",),
    )
    write_jsonl(folder / "train.jsonl", [to_record(item)])
    for split in ("validation", "test"):
        write_jsonl(folder / f"{split}.jsonl", [])
    run_programs(
        tmp_path,
        problems_from="import_problems",
        programs_per_role=2,
        inputs_per_program=None,
        sandbox=SANDBOX,
    )
    found = list(read_jsonl(tmp_path / "run_programs" / "rl.jsonl"))
    assert [(r["id"], r["role"], r["stdout"]) for r in found] == [
        ("sum/right/0", "right", "3\n"),
        ("sum/wrong/0", "wrong", "0\n"),
        ("sum/right/1", "right", "4\n"),
        ("sum/wrong/1", "wrong", "0\n"),
        ("sum/right1/0", "right", "3\n"),
        ("sum/right1/1", "right", "4\n"),
    ]


def test_the_first_items_are_of_as_many_problems_as_can_be(tmp_path):
    (test, hidden) = PROBLEM.tests
    records = [
        to_record(
            ProblemWithPrograms(
                problem=dataclasses.replace(
                    PROBLEM, id=name, tests=(test, test, hidden)
                ),
                right_programs=("1", "2"),
                wrong_programs=("3",),
            )
        )
        for name in ("p", "q")
    ]
    path = tmp_path / "validation.jsonl"
    write_jsonl(path, records)
    # One program of a role on one test, as in all local experiments: problem by problem.
    firsts = ["p/right/0", "p/wrong/0", "q/right/0", "q/wrong/0"]
    assert [run["id"] for run in _list_runs(path, 1, 1)] == firsts
    # 2 problems × (2 right + 1 wrong) × 2 public tests.
    every = [run["id"] for run in _list_runs(path, 2, None)]
    assert every[:4] == firsts and len(every) == 12
