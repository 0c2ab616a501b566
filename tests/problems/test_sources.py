"""Each source on small records in its published form, and on real files."""

import ast
import base64
import json
import pathlib
import pickle
import zlib

import pytest

from simex.core.errors import UserError
from simex.problems.problem import CallCase, Limits, TestCase, Visibility
from simex.problems.program import Claim, runs_of
from simex.problems.records import (
    from_record,
    item_of,
    literal_text,
    to_record,
    with_programs,
)
from simex.problems.rows import BadRecord, BrokenRow
from simex.problems.sources.apps import parse_apps, parse_taco
from simex.problems.sources.assertions import parse_assertions
from simex.problems.sources.codecontests import parse_codecontests
from simex.problems.sources.contest_packs import parse_contest_problem
from simex.problems.sources.function_calls import parse_function_call
from simex.problems.sources.humaneval import parse_humaneval
from simex.problems.sources.livecodebench import (
    parse_livecodebench,
    text_of_pickle,
    unpack_tests,
)
from simex.problems.sources.mbpp import parse_mbpp
from simex.problems.sources.table import SOURCES, read_items
from simex.sandbox.checkers import get_checker

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
PUBLIC, PRIVATE, GENERATED = Visibility


def case(stdin: str, stdout: str, visibility: Visibility) -> TestCase:
    return TestCase(stdin=stdin, expected_stdout=stdout, visibility=visibility)


def call(function: str, *arguments, gives, visibility=PRIVATE) -> CallCase:
    return CallCase(
        function=function,
        arguments=arguments,
        expected_result=gives,
        visibility=visibility,
    )


CODECONTESTS = {
    "name": "1_A. Sum",
    "description": "Print the sum.",
    "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
    "private_tests": {"input": ["2 2\n"], "output": ["4\n"]},
    "generated_tests": {"input": ["5 5\n"], "output": ["10\n"]},
    "source": 2,
    "cf_rating": 800,
    "cf_tags": ["math", ""],
    "solutions": {"language": [2, 3], "solution": ["int main;", "print(3)\n"]},
    "incorrect_solutions": {"language": [1, 3], "solution": ["print 3", "print(4)\n"]},
    "time_limit": {"seconds": 1, "nanos": 500_000_000},
    "memory_limit_bytes": 256_000_000,
    "input_file": "",
    "output_file": "",
}


def test_codecontests_tests_programs_and_limits_are_taken():
    item = parse_codecontests(CODECONTESTS)
    problem = item.problem
    assert problem.tests == (
        case("1 2\n", "3\n", PUBLIC),
        case("2 2\n", "4\n", PRIVATE),
        case("5 5\n", "10\n", GENERATED),
    )
    # 256,000,000 / 2**20 = 244.1
    assert problem.limits == Limits(cpu_secs=1.5, memory_mib=244)
    assert (problem.rating, problem.tags) == (800, ("math",))
    assert (problem.checker, problem.origin) == ("codecontests", "codeforces")
    # Language 3 is Python 3; 1 is Python 2 and 2 is C++.
    assert [(p.source, p.claim) for p in item.programs] == [
        ("print(3)\n", Claim.RIGHT),
        ("print(4)\n", Claim.WRONG),
    ]


def test_codecontests_rows_of_the_json_form_are_the_same():
    rows = dict(CODECONTESTS)
    rows["public_tests"] = [{"input": "1 2\n", "output": "3\n"}]
    rows["solutions"] = [
        {"language": "CPP", "solution": "int main;"},
        {"language": "PYTHON3", "solution": "print(3)\n"},
    ]
    assert parse_codecontests(rows) == parse_codecontests(CODECONTESTS)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", None, "no text under name"),
        ("input_file", "in.txt", "read and write files"),
        ("public_tests", {"input": ["1"], "output": []}, "1 inputs but 0 outputs"),
        ("private_tests", "none", "no table"),
        ("solutions", {"language": [3], "solution": [None]}, "is missing"),
    ],
)
def test_a_broken_codecontests_record_says_what_is_wrong(field, value, reason):
    with pytest.raises(BadRecord, match=reason):
        parse_codecontests(CODECONTESTS | {field: value})


def pack(value: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


@pytest.mark.parametrize(
    ("source", "checker", "declared", "tolerance"),
    [
        ("kattis-package", "kattis", 1e-4, 1e-4),
        ("kattis-package", "kattis", None, None),
        ("google-coding-competitions", "kattis_case", 1e-6, 1e-6),
        ("codecontests", "codecontests", None, None),
        ("codecontests", "codecontests", 1e-6, None),  # it has its own
        (None, "kattis_case", None, None),
    ],
)
def test_problems_of_contests_are_compared_by_tokens(
    source, checker, declared, tolerance
):
    record = {
        "id": "p",
        "source": source,
        "statement": "Print two numbers.",
        "checker": {"type": "float" if declared else "tokens", "tol": declared},
        "public_tests": [{"stdin": "", "stdout": "1 2"}],
        "hidden_tests": [],
        "license": "MIT",
    }
    problem = parse_contest_problem(record).problem
    assert (problem.checker, problem.float_tol) == (checker, tolerance)
    check = get_checker(problem.checker, problem.float_tol)
    assert check(b"1\n 2\n", "1 2") and not check(b"12", "1 2")
    assert check(b"Yes", "YES") is (checker != "kattis_case")


LIVECODEBENCH = {
    "question_id": "abc301_a",
    "question_title": "Overall Winner",
    "question_content": "Who won?",
    "platform": "atcoder",
    "contest_date": "2023-05-13T00:00:00",
    "difficulty": "easy",
    "starter_code": "",
    "metadata": "{}",
    "public_test_cases": json.dumps(
        [{"input": "1\n", "output": "T", "testtype": "stdin"}]
    ),
    "private_test_cases": pack(
        json.dumps([{"input": "2\n", "output": "A", "testtype": "stdin"}])
    ),
}


def test_livecodebench_private_tests_are_unpacked():
    problem = parse_livecodebench(LIVECODEBENCH).problem
    assert problem.tests == (case("1\n", "T", PUBLIC), case("2\n", "A", PRIVATE))
    assert (problem.split, problem.checker) == ("test", "livecodebench")
    assert problem.limits.cpu_secs == 6.0


def test_livecodebench_function_tests_have_one_json_argument_a_line():
    row = {"input": '[1, 2]\n"x"', "output": "[3]", "testtype": "functional"}
    record = LIVECODEBENCH | {
        "metadata": json.dumps({"func_name": "solve"}),
        "starter_code": "class Solution:\n    def solve(self, a, b):\n        ",
        "public_test_cases": json.dumps([row]),
        "private_test_cases": "[]",
    }
    problem = parse_livecodebench(record).problem
    assert problem.tests == ()
    gives = call("solve", [1, 2], "x", gives=[3], visibility=PUBLIC)
    assert problem.call_tests == (gives,)
    with pytest.raises(BadRecord, match="func_name"):
        parse_livecodebench(record | {"metadata": "{}"})


class Calls:
    """Whoever loads a pickle of this prints."""

    def __reduce__(self):
        return (print, ("a pickle was loaded",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickled_text_is_read_in_every_protocol(protocol):
    for text in ("[]", "é" * 300, "x" * 70_000):
        assert text_of_pickle(pickle.dumps(text, protocol)) == text


def test_a_pickle_of_anything_but_one_text_is_refused_and_not_loaded(capsys):
    with pytest.raises(BadRecord, match=r"STACK_GLOBAL|GLOBAL"):
        unpack_tests(pack(Calls()))
    with pytest.raises(BadRecord, match="EMPTY_LIST"):
        unpack_tests(pack(["[]"]))
    with pytest.raises(BadRecord, match="cannot be read"):
        text_of_pickle(pickle.dumps("text")[:-3])
    assert capsys.readouterr().out == ""
    with pytest.raises(BadRecord, match="no base64 of zlib"):
        unpack_tests("!!!")
    cut = base64.b64encode(zlib.compress(pickle.dumps("[]"))[:-6]).decode()
    with pytest.raises(BadRecord, match="break off"):
        unpack_tests(cut)


def test_asserts_become_calls_and_what_is_no_call_is_counted():
    found = parse_assertions(
        [
            "assert f(1, (2,)) == [3]\nassert True\nassert 'a' == f('b')",
            "assert abs(f(2) - 0.5) < 1e-4\nassert math.isclose(f(3), 1.5)",
            "assert set(f(1)) == {1}\nfor n in range(3):\n    assert f(n) == n",
            "assert f(x) == 1\nassert f(1) == 1e999\nassert f(",
        ],
        num_public=1,
    )
    assert found.calls == (
        call("f", 1, (2,), gives=[3], visibility=PUBLIC),
        call("f", "b", gives="a"),
        call("f", 2, gives=0.5),
        call("f", 3, gives=1.5),
    )
    assert found.float_tol == 1e-4
    # The set and the loop of the third text; the fourth does not parse at all.
    assert found.num_left_out == 3
    more = parse_assertions(["assert f(x) == 1", "assert f(1) == 1e999"])
    assert (more.calls, more.num_left_out) == ((), 2)


def test_humaneval_and_mbpp_records_become_calls():
    item = parse_humaneval(
        {
            "task_id": "HumanEval/900",
            "prompt": "def add(a, b):\n",
            "entry_point": "add",
            "canonical_solution": "    return a + b\n",
            "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        }
    )
    assert item.problem.call_tests == (call("add", 1, 2, gives=3),)
    assert item.programs[0].source == "def add(a, b):\n    return a + b\n"
    assert item.problem.split == "test"
    mbpp = {"task_id": 700, "text": "Add.", "code": "def add(a):\r\n  return a"}
    mbpp |= {"test_list": ["assert add(1) == 1"], "test_setup_code": "import math"}
    item = parse_mbpp(mbpp)
    assert item.problem.call_tests == (call("add", 1, gives=1, visibility=PUBLIC),)
    assert item.programs[0].source == "import math\ndef add(a):\n  return a\n"
    assert item.problem.split == "train"
    splits = [parse_mbpp(mbpp | {"task_id": n}).problem.split for n in (10, 11, 510)]
    assert splits == ["train", "test", "test"]
    with pytest.raises(BadRecord, match="task_id"):
        parse_mbpp(mbpp | {"task_id": "x"})


def test_humaneval_plus_keeps_results_and_counts_base_inputs_as_left_out():
    record = {
        "task_id": "HumanEval/901",
        "prompt": "def half(x):\n",
        "entry_point": "half",
        "canonical_solution": "    return x / 2\n",
        "base_input": [[2], [4]],
        "plus_input": [[3], [5], [1]],
        "plus_expected_repr": ["1.5", "2.5", "object()"],
        "atol": 0,
    }
    problem = parse_humaneval(record).problem
    assert problem.call_tests == (
        call("half", 3, gives=1.5),
        call("half", 5, gives=2.5),
    )
    assert problem.num_tests_left_out == 3  # two base inputs, and no literal
    assert problem.float_tol == 1e-6  # a result is a float
    assert parse_humaneval(record | {"atol": 1e-4}).problem.float_tol == 1e-4
    whole = record | {"plus_expected_repr": ["1", "[2]", "'x'"]}
    assert parse_humaneval(whole).problem.float_tol is None


def test_apps_and_taco_read_lines_and_function_calls():
    record = {
        "problem_id": 7,
        "question": "Echo.",
        "solutions": json.dumps(["print(input())\n"]),
        "input_output": json.dumps(
            {"inputs": ["a\n", ["b", "c"]], "outputs": ["a", ["b"]]}
        ),
        "difficulty": "interview",
        "url": "https://example.org/7",
        "starter_code": "",
    }
    item = parse_apps(record)
    assert item.problem.tests == (case("a\n", "a", PRIVATE), case("b\nc", "b", PRIVATE))
    assert (item.problem.id, item.problem.tags) == ("apps/7", ("interview",))
    assert [p.source for p in item.programs] == ["print(input())\n"]
    table = {"fn_name": "f", "inputs": [[1, [2]], [3, []]], "outputs": [[5], [6]]}
    taco = parse_taco(
        record
        | {
            "input_output": json.dumps(table),
            "tags": "['Sorting', 'Graphs']",
            "time_limit": "2.0 seconds",
            "memory_limit": "512.0 megabytes",
        }
    ).problem
    assert taco.call_tests == (call("f", 1, [2], gives=5), call("f", 3, [], gives=6))
    assert taco.tags == ("interview", "Sorting", "Graphs")
    assert taco.limits == Limits(cpu_secs=2.0, memory_mib=512)
    with pytest.raises(BadRecord, match="input_output is not JSON"):
        parse_apps(record | {"input_output": "{"})


def test_a_function_call_of_each_kind_becomes_a_program_that_prints():
    record = {"id": "a#0", "group": "a", "license": "MIT", "setup": "x = 2"}
    record |= {"source": "def f(n):\n    return n\n", "call": "f(x)"}
    endings = {
        "returns": ("print(repr(f(x)))\n", "2", "2\n"),
        "raises": (
            "try:\n    f(x)\nexcept Exception as error:\n"
            + '    print(f"{type(error).__name__}: {error}")\n',
            "ValueError: no",
            "ValueError: no\n",
        ),
        "prints": ("f(x)\n", "a\nb\n", "a\nb\n"),
    }
    for kind, (ending, expected, stdout) in endings.items():
        item = parse_function_call(record | {"kind": kind, "expected": expected})
        program = item.programs[0].source
        assert program == f"def f(n):\n    return n\nx = 2\n{ending}"
        assert item.problem.tests[0].expected_stdout == stdout
        assert item.problem.call == ("f(x)" if kind == "returns" else "")
    (run,) = runs_of(item)
    assert (run.group, run.license, run.claim) == ("a", "MIT", Claim.RIGHT)
    with pytest.raises(BadRecord, match="kind must be one of"):
        parse_function_call(record | {"kind": "sings", "expected": ""})


PACKAGE = {
    "problem.yaml": "name: Sum\nlicense: cc by-sa\nauthor: Ann\n"
    "validator_flags: float_tolerance 1e-6\nlimits:\n  memory: 512\n",
    "problem_statement/problem.en.tex": "\\problemname{Sum}\n% a note\n"
    "\\section*{Input}\nTwo \\emph{numbers}, $a_1 \\% 2$.\n",
    "problem_statement/problem.sv.tex": "Summa",
    "data/sample/1.in": "1 2\n",
    "data/sample/1.ans": "3\n",
    "data/secret/group1/1.in": "2 2\n",
    "data/secret/group1/1.ans": "4\n",
    "submissions/accepted/ann.py": "print(3)\n",
    "submissions/accepted/ann.cpp": "int main;",
    "submissions/wrong_answer/bob.py": "print(4)\n",
}


def write_package(folder: pathlib.Path, **changed: str) -> pathlib.Path:
    for name, text in (PACKAGE | changed).items():
        path = folder / "sum" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_kattis_package_becomes_a_problem(tmp_path):
    write_package(tmp_path)
    # The same test again in another group, as packages do it.
    (tmp_path / "sum/data/secret/2.in").symlink_to("group1/1.in")
    (read,) = read_items("kattis", tmp_path)
    item = read.item
    problem = item.problem
    assert problem.id == "kattis/sum"
    assert problem.statement == ("# Sum\n\n## Input\n\nTwo numbers, $a_1 \\% 2$.\n")
    assert problem.tests == (
        case("1 2\n", "3\n", PUBLIC),
        case("2 2\n", "4\n", PRIVATE),
    )
    assert (problem.license, problem.origin) == ("cc by-sa", "Ann")
    assert (problem.checker, problem.float_tol) == ("kattis", 1e-6)
    assert problem.limits.memory_mib == 512
    assert [(p.source, p.claim) for p in item.programs] == [
        ("print(3)\n", Claim.RIGHT),
        ("print(4)\n", Claim.WRONG),
    ]


def test_a_problem_yaml_that_is_no_yaml_is_read_line_by_line(tmp_path):
    write_package(
        tmp_path, **{"problem.yaml": "name: Sum: the return\nvalidation: custom\n"}
    )
    (read,) = read_items("kattis", tmp_path)
    assert read.item.problem.title == "Sum: the return"
    assert read.item.problem.has_many_answers


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ("", ("kattis", None)),
        ("case_sensitive", ("kattis_case", None)),
        ("case_sensitive float_tolerance 1e-4", ("kattis_case", 1e-4)),
        ("float_tolerance=1e-4", ("kattis", 1e-4)),
        (
            "float_relative_tolerance 1e-4 float_absolute_tolerance 1e-4",
            ("kattis", 1e-4),
        ),
        ("case_sensitive space_change_sensitive", ("exact", None)),
        ("[float_tolerance, 1e-4]", ("kattis", 1e-4)),
    ],
)
def test_the_flags_of_a_kattis_package_choose_the_checker(tmp_path, flags, rule):
    write_package(tmp_path, **{"problem.yaml": f"validator_flags: {flags}\n"})
    (read,) = read_items("kattis", tmp_path)
    assert (read.item.problem.checker, read.item.problem.float_tol) == rule


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("float_absolute_tolerance 1e-4", "absolute and relative tolerances differ"),
        ("float_tolerance 1e-4 float_relative_tolerance 1e-9", "tolerances differ"),
        ("space_change_sensitive", "compares blanks"),
        ("case_sensitive space_change_sensitive float_tolerance 1e-4", "blanks"),
        ("float_tolerance", "is no number: ''"),
        ("float_tolerance 2", "between 0 and 1"),
        ("presentation", "'presentation' is none of the default"),
    ],
)
def test_a_kattis_package_that_no_checker_can_judge_is_reported(
    tmp_path, flags, reason
):
    write_package(tmp_path, **{"problem.yaml": f"validator_flags: {flags}\n"})
    (read,) = read_items("kattis", tmp_path)
    assert reason in read.reason
    own = f"validation: custom\nvalidator_flags: {flags}\n"
    write_package(tmp_path, **{"problem.yaml": own})
    (read,) = read_items("kattis", tmp_path)
    assert read.item.problem.has_many_answers  # its own validator's flags


def test_flags_of_a_group_of_tests_are_reported(tmp_path):
    groups = {"data/testdata.yaml": "output_validator_flags: float_tolerance 1e-4\n"}
    write_package(tmp_path, **groups)
    (read,) = read_items("kattis", tmp_path)
    assert read.reason == "a group of tests has validator flags of its own"
    write_package(tmp_path, **{"data/testdata.yaml": "grader_flags: min\n"})
    (read,) = read_items("kattis", tmp_path)
    assert read.item.problem.checker == "kattis"


def test_broken_and_interactive_packages_are_reported_with_their_folder(tmp_path):
    write_package(
        tmp_path / "a", **{"problem.yaml": "validation: custom interactive\n"}
    )
    write_package(tmp_path / "b")
    (tmp_path / "b/sum/data/secret/group1/1.ans").unlink()
    reads = list(read_items("kattis", tmp_path))
    assert [(r.place, r.reason) for r in reads] == [
        (str(tmp_path / "a/sum"), "is interactive"),
        (str(tmp_path / "b/sum"), "1.in has no .ans file"),
    ]
    with pytest.raises(UserError, match="holds none"):
        list(read_items("kattis", tmp_path / "a/sum/data"))


def test_the_own_form_needs_an_id_and_tests_and_comes_back_equal(tmp_path):
    path = tmp_path / "own.jsonl"
    tests = [
        {"stdin": "1", "stdout": "1", "visibility": "public"},
        {"fn": "f", "args": [1, [2]], "result": None},
        {"fn": "f", "args_text": "((1,),)", "result_text": "{2}"},
    ]
    good = {"id": "x", "tests": tests, "limits": {"cpu_secs": 1}, "float_tol": 1e-5}
    good |= {"right_programs": ["print(1)"], "program_licenses": {"print(1)": "MIT"}}
    bad = [{"id": "y"}, {"id": "z", "tests": [{"stdin": 1}]}]
    bad.append({"id": "w", "tests": [], "limits": {"cpu_secs": 0}})
    path.write_text("".join(json.dumps(r) + "\n" for r in [good, *bad]))
    read, *broken = read_items("jsonl", path)
    assert all(isinstance(b, BrokenRow) for b in broken) and len(broken) == 3
    assert broken[0].place == f"{path}:2"
    problem = read.item.problem
    assert problem.tests == (case("1", "1", PUBLIC),)
    assert problem.call_tests == (
        call("f", 1, [2], gives=None),
        call("f", (1,), gives={2}),
    )
    assert (problem.license, problem.float_tol) == ("unknown", 1e-5)
    assert read.item.programs[0].license == "MIT"
    record = json.loads(json.dumps(to_record(with_programs(read.item))))
    assert item_of(from_record(record)) == read.item


def test_sets_of_texts_are_written_in_one_order_and_read_back():
    words = {chr(n) * 3 for n in range(97, 117)}
    value = ([words, (1,), ()], {"k": {2}}, set(), b"x")
    text = literal_text(value)
    assert ast.literal_eval(text) == value
    assert text.startswith("([{'aaa', 'bbb', 'ccc', ")
    found = parse_assertions([f"assert f({text}) == {text}"])
    assert found.calls == (call("f", value, gives=value),)


def test_an_unknown_source_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'livecodebench'"):
        list(read_items("livecodbench", tmp_path))


# Counts of the files as they were published: records, calls, tests left out.
REAL = [
    ("contests", "public/stdin_problems.jsonl", 778, 0, 0),
    ("contest_runs", "public/io_triples.jsonl", 2609, 0, 0),
    ("function_calls", "public/functions_exercism.jsonl", 1090, 0, 0),
    ("function_tasks", "public/problems_exercism.jsonl", 85, 558, 578),
    ("mbpp", "public/mbpp_train.jsonl", 218, 645, 9),
    ("humaneval", "eval/humaneval.jsonl", 164, 1068, 65),
    ("mbpp", "eval/mbpp_sanitized.jsonl", 427, 1284, 40),
    ("cruxeval", "eval/cruxeval.jsonl", 800, 0, 0),
]


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
@pytest.mark.parametrize(("name", "file", "num", "num_calls", "num_left"), REAL)
def test_real_files_are_read_without_a_broken_record(
    name, file, num, num_calls, num_left
):
    reads = list(read_items(name, SHARED / file))
    assert not [r for r in reads if isinstance(r, BrokenRow)]
    problems = [r.item.problem for r in reads]
    assert len(problems) == num
    assert len({p.id for p in problems}) == num
    assert sum(len(p.call_tests) for p in problems) == num_calls
    assert sum(p.num_tests_left_out for p in problems) == num_left
    assert all(p.license for p in problems)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_real_humaneval_asserts_are_the_known_inputs_of_the_tasks():
    """HumanEval+ publishes the same inputs as data, read by people, not by us."""
    tasks = {
        r.item.problem.id: r.item.problem
        for r in read_items("humaneval", SHARED / "eval/humaneval.jsonl")
    }
    with open(SHARED / "eval" / "humaneval_plus_early.jsonl") as file:
        known = {r["task_id"]: r["base_input"] for r in map(json.loads, file)}
    num_equal = 0
    for task_id, problem in tasks.items():
        if problem.num_tests_left_out == 0:
            calls = [json.loads(json.dumps(t.arguments)) for t in problem.call_tests]
            num_equal += {*map(repr, calls)} <= {*map(repr, known[task_id])}
    # Of the other 19 tasks an assert is no plain call: a loop, a random input.
    assert num_equal == 145


def test_every_source_says_how_it_is_read():
    assert all(callable(s.parse) and callable(s.read_rows) for s in SOURCES.values())
    assert SOURCES["livecodebench"].is_evaluation
