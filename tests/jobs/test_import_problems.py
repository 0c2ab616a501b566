"""Small files of several sources, filtered and really run in the sandbox."""

import gzip
import json
import math
import pathlib

import pytest

from simex.core.config import load_experiment
from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.jobs.evaluate_solving import load_problems as load_asked
from simex.jobs.import_problems import import_problems
from simex.jobs.imported_records import split_of
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.wiring import register
from simex.problems.filters.sift import FilterSettings
from simex.problems.records import from_record, literal_text
from simex.sandbox.interpreter import find_interpreter

SANDBOX = SandboxConfig(num_workers=1)
EXPERIMENT = pathlib.Path(__file__).parents[2] / "experiments" / "data" / "import.gin"
ECHO = [{"stdin": "3\n", "stdout": "3\n", "visibility": "public"}]
SETS = "print(*{input(), 'b', 'c', 'd'})\n"
PROBLEMS = [
    {
        "id": "echo",
        "statement": "Print what you read.",
        "tests": ECHO,
        "right_programs": ["print(input())\n", "print(3)\n", "print(input() * 2)\n"],
        "wrong_programs": ["print(4)\n", "print(int(input()))\n"],
        "license": "MIT",
    },
    {"id": "again", "statement": "print WHAT you read", "tests": ECHO},
    {
        "id": "fails",
        "statement": "Print twice what you read.",
        "tests": ECHO,
        "right_programs": ["print(2)\n"],
    },
    {
        "id": "unsteady",
        "statement": "Print a set in some order.",
        "tests": [{"stdin": "a\n", "stdout": "a b c d\n"}],
        "right_programs": [SETS],
    },
    {
        "id": "calls",
        "statement": "Define pair(n), which gives n and its double.",
        "tests": [{"fn": "pair", "args": [2], "result": [2, 4]}],
        "right_programs": [
            "def pair(n):\n    print('noise')\n    return n, 2 * n\n",
            "class Solution:\n    def pair(self, n):\n        return [n, 2 * n]\n",
        ],
    },
    {"id": "untested", "statement": "Nobody knows.", "tests": []},
    {"id": "leaked", "statement": "Say. Add   seven to a!", "tests": ECHO},
]
CALLS = [
    {
        "id": f"double#{n}",
        "group": "double.py",
        "kind": "returns",
        "entry": "double",
        "source": "def double(n):\n    return 2 * n\n",
        "setup": "",
        "call": f"double({n})",
        "expected": str(2 * n),
        "license": "BSD",
    }
    for n in (1, 2)
]
EVALUATED = {
    "task_id": "HumanEval/0",
    "prompt": "say: add seven to A",
    "entry_point": "f",
    "canonical_solution": "",
    "test": "",
}


def write_lines(path: pathlib.Path, records: list) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("files")
    broken = folder / "broken.jsonl"
    broken.write_text('{"id": 1\n[]\n')
    zipped = folder / "zipped.jsonl"
    zipped.write_bytes(gzip.compress(b"{}\n"))
    return {
        "inputs": [
            ("jsonl", write_lines(folder / "problems.jsonl", PROBLEMS)),
            ("function_calls", write_lines(folder / "calls.jsonl", CALLS)),
            ("jsonl", str(broken)),
            ("jsonl", str(zipped)),
        ],
        "evaluation": [("humaneval", write_lines(folder / "eval.jsonl", [EVALUATED]))],
    }


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory) -> pathlib.Path:
    workdir = tmp_path_factory.mktemp("run")
    import_problems(
        workdir, **files, validation_fraction=0, test_fraction=0, sandbox=SANDBOX
    )
    return workdir / "import_problems"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"statement": "x \ud83d y"}, "cannot be written as JSON in UTF-8"),
        ({"id": 5}, "id must be a text; it is 5"),
        ({"statement": None}, "statement must be a text; it is None"),
        ({"tests": [{"stdin": 5, "stdout": "5"}]}, "stdin must be a text; it is 5"),
        ({"right_programs": [None]}, "a program must be a text"),
        ({"right_programs": "print(1)"}, "right_programs must be a list"),
        ({"rating": float("nan")}, "cannot be written as JSON in UTF-8"),
        ({"split": "dev"}, "split must be one of train, validation, test: 'dev'"),
        ({"checker": "foo"}, "foo"),
        ({"checker": "exact", "float_tol": 0.1}, "exact"),
        *(
            ({"tests": [{"fn": "f", "args_text": text, "result_text": "1"}]}, reason)
            for text, reason in (
                ("[...]", "cannot be written"),
                ("[" + "+".join("1" * 5000) + "]", "is no problem"),
                ("[1e999j]", "cannot be written"),
            )
        ),
        *(
            ({"float_tol": value}, "float_tol must be null, or a number above 0")
            for value in ("1e-6", -1, True, [1])
        ),
    ],
)
def test_an_odd_record_costs_itself_alone(tmp_path, changed, reason):
    path = write_lines(tmp_path / "in.jsonl", [PROBLEMS[0] | changed, PROBLEMS[4]])
    import_problems(tmp_path, inputs=[("jsonl", path)], evaluation=[], sandbox=SANDBOX)
    done = tmp_path / "import_problems"
    broken, whole = read_jsonl(done / "read.jsonl")
    assert broken["dropped"] == "broken record" and reason in broken["detail"]
    assert whole["item"]["id"] == "calls"


def test_results_without_a_number_of_json_come_back(tmp_path):
    tests = [
        {"fn": "f", "args": [], "result": result}
        for result in (float("inf"), [float("-inf")])
    ]
    record = {"id": "i", "statement": "Endless.", "tests": tests}
    path = write_lines(tmp_path / "in.jsonl", [record])
    import_problems(tmp_path, inputs=[("jsonl", path)], evaluation=[], sandbox=SANDBOX)
    (line,) = read_jsonl(tmp_path / "import_problems" / "read.jsonl")
    found = from_record(line["item"]).problem.call_tests
    assert [test.expected_result for test in found] == [math.inf, [-math.inf]]


def report_of(folder: pathlib.Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_programs_are_sorted_by_what_they_really_do(folder):
    items = {r["id"]: from_record(r) for r in read_jsonl(folder / "train.jsonl")}
    assert set(items) == {"echo", "calls"}
    assert items["echo"].right_programs == ("print(input())\n", "print(3)\n")
    # "33" for 3 is wrong whatever it claims; int("3") prints 3 and is not wrong.
    assert items["echo"].wrong_programs == ("print(input() * 2)\n", "print(4)\n")
    assert items["echo"].problem.license == "MIT"
    assert len(items["calls"].right_programs) == 2


def test_every_record_is_kept_or_dropped_for_a_reason(folder):
    report = report_of(folder)
    dropped = {reason: found["count"] for reason, found in report["dropped"].items()}
    assert report["read"] == {"jsonl": 10, "function_calls": 2}
    assert report["kept"] == {"jsonl": 2, "function_calls": 2}
    assert dropped == {
        "broken record": 3,  # two lines, and a gzip file named .jsonl
        "contaminated": 1,
        "duplicate": 1,
        "fails its own tests": 1,
        "is not deterministic": 1,
        "malformed": 1,
    }
    assert report["programs_run"] == {
        "as claimed": 7,
        "fails its own tests": 2,
        "is not deterministic": 1,
        "claims to be wrong and passes every test": 1,
    }
    assert report["licenses"] == {"BSD": 2, "MIT": 1, "unknown": 1}


def test_what_is_dropped_is_shown_with_its_place(folder, files):
    dropped = report_of(folder)["dropped"]
    places = [e["place"] for e in dropped["broken record"]["examples"]]
    broken, zipped = files["inputs"][2][1], files["inputs"][3][1]
    assert places == [f"{broken}:1", f"{broken}:2", zipped]
    (example,) = dropped["duplicate"]["examples"]
    assert example["detail"] == "again says the same as echo"
    (example,) = dropped["contaminated"]["examples"]
    assert "HumanEval/0" in example["detail"]


def test_calls_of_functions_are_written_as_the_harvest_writes_them(folder):
    records = list(read_jsonl(folder / "functions.jsonl"))
    assert [(r["call"], r["stdout"]) for r in records] == [
        ("double(1)", "2\n"),
        ("double(2)", "4\n"),
    ]
    record = records[0]
    assert record["program"] == (
        "def double(n):\n    return 2 * n\nprint(repr(double(1)))\n"
    )
    assert (record["group"], record["license"]) == ("double.py", "BSD")
    assert (record["entry"], record["origin"]) == ("double", "function_calls")


def test_a_stopped_import_goes_on_and_ends_with_the_same_files(folder, files, tmp_path):
    begun = tmp_path / "import_problems"
    begun.mkdir()
    for name, num in (("read.jsonl", 12), ("checked.jsonl", 3)):
        lines = (folder / name).read_text().splitlines(keepends=True)
        whole = name if num == len(lines) else f"{name}.partial"
        torn = "" if num == len(lines) else lines[num][:9]
        (begun / whole).write_text("".join(lines[:num]) + torn)
    import_problems(
        tmp_path, **files, validation_fraction=0, test_fraction=0, sandbox=SANDBOX
    )
    names = [f"{n}.jsonl" for n in ("read", "checked", "train", "functions", "runs")]
    for name in names:
        assert (begun / name).read_bytes() == (folder / name).read_bytes()


def test_reading_goes_on_at_the_next_record(folder, files, tmp_path):
    begun = tmp_path / "import_problems"
    begun.mkdir()
    lines = (folder / "read.jsonl").read_text().splitlines(keepends=True)
    (begun / "read.jsonl.partial").write_text("".join(lines[:5]) + lines[5][:20])
    (begun / "checked.jsonl").write_bytes((folder / "checked.jsonl").read_bytes())
    import_problems(tmp_path, **files, sandbox=SANDBOX)
    assert (begun / "read.jsonl").read_text() == "".join(lines)


def test_an_import_has_one_python(folder, files, tmp_path):
    note = json.loads((folder / "sandbox.json").read_text())
    assert note["python"] == find_interpreter().version
    begun = tmp_path / "import_problems"
    begun.mkdir()
    (begun / "read.jsonl").write_bytes((folder / "read.jsonl").read_bytes())
    (begun / "sandbox.json").write_text(json.dumps({**note, "python": "3.1.4"}))
    with pytest.raises(UserError, match=r"under Python 3\.1\.4"):
        import_problems(tmp_path, **files, sandbox=SANDBOX)


def test_an_import_of_nothing_and_impossible_settings_are_refused(files, tmp_path):
    broken = files["inputs"][2:3]
    with pytest.raises(UserError, match="Nothing is left of 2 records"):
        import_problems(tmp_path, inputs=broken, sandbox=SANDBOX)
    with pytest.raises(UserError, match="at least one"):
        import_problems(tmp_path, inputs=[], sandbox=SANDBOX)
    with pytest.raises(UserError, match="it does not"):
        import_problems(tmp_path, inputs=[("jsonl", "gone.jsonl")])
    with pytest.raises(UserError, match="Did you mean 'jsonl'"):
        import_problems(tmp_path, inputs=[("json", broken[0][1])])
    fine = files["inputs"][:1]
    with pytest.raises(UserError, match="evaluation set must be whole"):
        import_problems(tmp_path / "b", inputs=fine, evaluation=broken)


def test_a_composition_stays_on_its_side_of_the_split():
    def side(name: str) -> str:
        return split_of(name, validation_fraction=0.2, test_fraction=0.3, seed=1)

    sides = [side(f"group {n}") for n in range(1000)]
    assert sides == [side(f"group {n}") for n in range(1000)]
    # Within four standard deviations of 1000 p: sqrt(1000 * 0.3 * 0.7) = 14.5.
    assert abs(sides.count("test") - 300) < 58
    assert abs(sides.count("validation") - 200) < 51


# 2.0000001 is 1e-7 off 2: within 1e-6 * max(1, 2), the tolerance that is declared.
@pytest.mark.parametrize(
    ("body", "result", "is_right"),
    [
        ("return 2.0000001", 2, True),
        ("return 2.00001", 2, False),
        ("return True", 1, False),
        ("return 10**400", float("inf"), False),
        ("return (1, 2.0)", [1, 2], True),
        ("return {n, 'b', 'c', 'd'}", {"a", "b", "c", "d"}, True),
        ("return list({n, 'b', 'c', 'd'})", ["a", "b", "c", "d"], None),
        ("import sys; sys.exit(0)", None, False),
    ],
)
def test_calls_are_decided_as_the_judge_decides(tmp_path, body, result, is_right):
    test = {"fn": "f", "args_text": "['a']", "result_text": literal_text(result)}
    record = {
        "id": "f",
        "statement": "Define f.",
        "tests": [test],
        "float_tol": 1e-6,
        "right_programs": [f"def f(n):\n    {body}\n"],
    }
    # One more, so that something is left of every import.
    path = write_lines(tmp_path / "in.jsonl", [record, PROBLEMS[0]])
    import_problems(tmp_path, inputs=[("jsonl", path)], sandbox=SANDBOX)
    first, _ = read_jsonl(tmp_path / "import_problems" / "checked.jsonl")
    expected = {
        True: {"as claimed": 1},
        False: {"as claimed": 0, "fails its own tests": 1},
        None: {"as claimed": 0, "is not deterministic": 1},
    }
    assert first["programs"] == expected[is_right]


def test_the_experiment_file_of_the_import_is_understood():
    register()
    (stage,) = load_experiment(EXPERIMENT).stages
    assert stage.name == "import_problems"


def test_where_many_answers_are_right_the_publisher_is_believed(tmp_path):
    many = {
        "id": "any",
        "statement": "Print any number above the one you read.",
        "tests": ECHO,  # it says 3; so many others are right
        "has_many_answers": True,
        "right_programs": ["print(int(input()) + 1)\n", "print(1 / 0)\n", SETS],
        "wrong_programs": ["print(3)\n", "print(2)\n"],
    }
    told = many | {"id": "untold", "statement": ""}
    inputs = [("jsonl", write_lines(tmp_path / "in.jsonl", [many, told]))]
    import_problems(
        tmp_path,
        inputs=inputs,
        filters=FilterSettings(takes_many_answers=True),
        validation_fraction=0,
        test_fraction=0,
        sandbox=SANDBOX,
    )
    folder = tmp_path / "import_problems"
    (item,) = map(from_record, read_jsonl(folder / "train.jsonl"))
    assert item.right_programs == ("print(int(input()) + 1)\n",)
    # One that ends in an error is wrong; the set's order is nobody's answer.
    assert item.wrong_programs == ("print(1 / 0)\n", "print(3)\n", "print(2)\n")
    assert report_of(folder)["programs_run"] == {
        "as claimed": 6,
        "fails its own tests": 2,
        "is not deterministic": 2,
    }
    # What they print is for the trace to say.
    assert {run["expected"] for run in read_jsonl(folder / "runs.jsonl")} == {None}


def contest_problem(name: str, num_tests: int) -> dict:
    stdins = [f"{n}\n" for n in range(num_tests - 1)] + ["1" * 100_001]
    return {
        "name": name,
        "description": f"Say how many ways there are to go from {numbers_from(0)}.",
        "public_tests": {"input": ["1\n"], "output": ["1\n"]},
        "private_tests": {"input": stdins, "output": stdins},
        "solutions": {"language": [3], "solution": ["print(0)\n"]},
    }


def numbers_from(start: int) -> str:
    return " to ".join(map(str, range(start, start + 40)))


def test_an_evaluation_set_is_taken_whole_and_its_twins_are_not_trained_on(tmp_path):
    asked = [contest_problem("a", 70), contest_problem("b", 3)]
    asked[1]["description"] += " Once more."  # nearly the same as the first
    twin = {"id": "twin", "statement": asked[0]["description"], "tests": ECHO}
    inputs = [
        ("jsonl", write_lines(tmp_path / "train.jsonl", [twin, PROBLEMS[4]])),
        ("dmc", write_lines(tmp_path / "valid_test.jsonl", asked)),
    ]
    import_problems(tmp_path, inputs=inputs, test_fraction=0, sandbox=SANDBOX)
    folder = tmp_path / "import_problems"
    problems = [from_record(r).problem for r in read_jsonl(folder / "test.jsonl")]
    # One public test each; the last of the 70 and of the 3 has 200,002 characters.
    assert [(p.title, len(p.tests)) for p in problems] == [("a", 71), ("b", 4)]
    assert [r["id"] for r in read_jsonl(folder / "train.jsonl")] == ["calls"]
    report = report_of(folder)
    assert report["num_tests_cut"] == 0 and report["programs_run"]["as claimed"] == 2
    assert report["dropped"]["duplicate"]["count"] == 1


def test_a_problem_for_evaluation_stays_whatever_becomes_of_its_programs(tmp_path):
    bodies = {"letters": "list({'a', 'b', 'c', 'd', 'e'})", "five": "4", "four": "4"}
    asked = [
        {
            "task_id": f"HumanEval/{index}",
            "prompt": f'def {name}():\n    """The {name}."""\n',
            "entry_point": name,
            "canonical_solution": f"    return {body}\n",
            "test": "",
            "base_input": [[]],
            "plus_input": [[]],
            "plus_expected_repr": ["5" if name == "five" else "4"],
            "atol": 0,
        }
        for index, (name, body) in enumerate(bodies.items())
    ]
    path = write_lines(tmp_path / "asked.jsonl", asked)
    import_problems(
        tmp_path,
        inputs=[("humaneval", path)],
        filters=FilterSettings(allowed_licenses=("Nobody's",)),
        sandbox=SANDBOX,
    )
    folder = tmp_path / "import_problems"
    items = list(map(from_record, read_jsonl(folder / "test.jsonl")))
    assert [item.problem.title for item in items] == list(bodies)
    assert [len(item.right_programs) for item in items] == [0, 0, 1]
    report = report_of(folder)
    assert report["kept"] == {"humaneval": 3} and not report["dropped"]
    assert report["programs_run"] == {
        "as claimed": 1,
        "is not deterministic": 1,
        "fails its own tests": 1,
    }


def test_an_evaluation_of_fewer_problems_than_asked_for_says_so(tmp_path, capsys):
    path = tmp_path / "test.jsonl"
    write_lines(path, [PROBLEMS[0], PROBLEMS[4]])
    assert [p.id for p in load_asked(path, 5)] == ["echo"]
    told = capsys.readouterr().err
    assert "left out: 1 with tests that are calls" in told
    assert "problems to solve: 1; asked for: 5" in told
    assert load_asked(path, 1) and not capsys.readouterr().err
