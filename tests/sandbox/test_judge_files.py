"""Bad input is told with its file and line, before anything runs."""

import json
import pathlib
import re

import pytest

from simex.core.errors import UserError
from simex.problems.problem import CallCase, Limits, Problem, TestCase, Visibility
from simex.problems.records import ProblemWithPrograms, to_record, with_programs
from simex.problems.sources.table import read_items
from simex.sandbox.judge_files import (
    JudgedProblem,
    Submission,
    count_submissions,
    load_problems,
    read_submissions,
)

STDIN = {"stdin": "1 2", "stdout": "3"}
CALL = {"fn": "f", "args": [1, [2]], "result": None}
TEXTS = {"fn": "f", "args_text": "(1,)", "result_text": "2"}
SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
GOOD = {"id": "a", "tests": [STDIN]}
PROGRAM = {"problem_id": "a", "program_id": "x", "source": "print(3)"}
PROBLEMS = {"a": JudgedProblem(id="a", tests=())}


@pytest.fixture
def write(tmp_path):
    def write_file(*lines) -> str:
        path = tmp_path / "in.jsonl"
        encoded = [
            line if isinstance(line, bytes) else json.dumps(line).encode()
            for line in lines
        ]
        path.write_bytes(b"\n".join(encoded) + b"\n")
        return path

    return write_file


def test_a_problem_has_defaults_and_both_kinds_of_tests(write):
    limits = {"cpu_secs": 1, "memory_mib": 64.0}
    second = {"id": "b", "tests": [CALL], "float_tol": 1e-5, "limits": limits}
    path = write(
        GOOD | {"tests": [STDIN, CALL], "statement": "of other readers"},
        b"  ",
        second | {"checker": "codecontests"},
    )
    stdin = TestCase(stdin="1 2", expected_stdout="3", visibility=Visibility.PRIVATE)
    call = CallCase(
        function="f",
        arguments=(1, [2]),
        expected_result=None,
        visibility=Visibility.PRIVATE,
    )
    assert load_problems(path) == {
        "a": JudgedProblem(id="a", tests=(stdin, call)),
        "b": JudgedProblem(
            id="b",
            tests=(call,),
            checker="codecontests",
            float_tol=1e-5,
            limits=Limits(cpu_secs=1.0, memory_mib=64),
        ),
    }


def test_problems_of_our_own_can_be_read_as_they_are(write):
    test = TestCase(stdin="", expected_stdout="1", visibility=Visibility.PUBLIC)
    problem = Problem(
        id="a",
        statement="s",
        tests=(test,),
        checker="lines",
        source="x",
        composition="",
    )
    item = ProblemWithPrograms(problem=problem, right_programs=(), wrong_programs=())
    assert load_problems(write(to_record(item)))["a"].tests[0].expected_stdout == "1"


def test_calls_of_values_that_are_no_json_are_read_from_our_own_records(write):
    calls = (
        CallCase(
            function="merge",
            arguments=((1, 2), {3}, b"x"),
            expected_result={(1, 2): {3}},
            visibility=Visibility.PRIVATE,
        ),
        CallCase(
            function="first",
            arguments=([1],),
            expected_result=(1,),
            visibility=Visibility.PRIVATE,
        ),
    )
    problem = Problem(
        id="a",
        statement="s",
        tests=(),
        call_tests=calls,
        checker="lines",
        source="x",
        composition="",
    )
    item = ProblemWithPrograms(problem=problem, right_programs=(), wrong_programs=())
    record = to_record(item)
    assert record["tests"][0]["args_text"] == "((1, 2), {3}, b'x')"
    assert load_problems(write(record))["a"].tests == calls


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_every_record_that_simex_makes_of_mbpp_can_be_judged(write):
    read = read_items("mbpp", SHARED / "eval" / "mbpp_sanitized.jsonl")
    records = [to_record(with_programs(r.item)) for r in read]
    judged = [r for r in records if r["tests"]]
    # Of 427 tasks; 91 have a tuple, a set or the like in a call.
    texts = [r for r in judged if any("args_text" in test for test in r["tests"])]
    assert (len(records), len(texts)) == (427, 91)
    assert len(load_problems(write(*judged))) == len(judged)


BAD_PROBLEMS = [
    (b'{"id": "a", "tests": [', "must be one JSON object"),
    (b"[1]", "must be one JSON object; got '.1.'"),
    (b'{"id": "a", "tests": [{"stdin": "", "stdout": NaN}]}', "NaN is not JSON"),
    (b'{"id": "a", "id": "b"}', "the key 'id' comes twice"),
    (b'{"id": "caf\xe9"}', "must be UTF-8; byte 12 of the line is 0xe9"),
    (b"[" * 100_000, "JSON"),
    (b'{"id": ' + b"1" * 5000 + b"}", "must be one JSON object"),
    ({"tests": [STDIN]}, "the key 'id' is missing"),
    (GOOD | {"id": 3}, "'id' must be a text; got 3"),
    (GOOD | {"id": ""}, "'id' must not be empty"),
    (GOOD | {"tests": []}, "at least one test; got .."),
    ({"id": "a"}, "at least one test; got nothing"),
    (GOOD | {"tests": {"stdin": ""}}, "tests must be a list"),
    (GOOD | {"tests": [STDIN, 3]}, "test 2 must be a JSON object; got 3"),
    (GOOD | {"tests": [STDIN | CALL]}, "test 1 must have either .* got args, fn, r"),
    (GOOD | {"tests": [{"stdin": ""}]}, "must have either .* got stdin"),
    (GOOD | {"tests": [{"fn": "f", "args": []}]}, "must have either .* got args, fn"),
    (GOOD | {"tests": [STDIN | {"stdot": ""}]}, "and no others; got stdin, stdot"),
    (GOOD | {"tests": [STDIN | {"stdout": 3}]}, "'stdout' must be a text; got 3"),
    (GOOD | {"tests": [STDIN | {"stdin": "\ud800"}]}, "half of a surrogate pair"),
    (GOOD | {"tests": [CALL | {"fn": "a b"}]}, "must be a name of Python; got 'a b'"),
    (GOOD | {"tests": [CALL | {"fn": "def"}]}, "must be a name of Python; got 'def'"),
    (GOOD | {"tests": [CALL | {"args": {"a": 1}}]}, "args must be a list"),
    (GOOD | {"tests": [TEXTS | {"args_text": "{1: 2}"}]}, "args must be a list"),
    (GOOD | {"tests": [TEXTS | {"args_text": "f()"}]}, "args_text must be a literal"),
    (GOOD | {"tests": [TEXTS | {"result_text": 3}]}, "'result_text' must be a text"),
    (GOOD | {"tests": [TEXTS | {"result_text": "..."}]}, "must be built of None"),
    (GOOD | {"checker": "liens"}, "must be one of lines, .* got 'liens'"),
    (GOOD | {"checker": None}, "'checker' must be a text; got nothing"),
    (GOOD | {"cheker": "exact"}, "Did you mean 'checker'"),
    (GOOD | {"float_tolerance": 1e-5}, "Did you mean 'float_tol'"),
    (GOOD | {"float_tol": "1e-5"}, "float_tol must be null, or a number"),
    (GOOD | {"float_tol": 0}, "float_tol must be null, or a number above 0"),
    (GOOD | {"float_tol": True}, "float_tol must be null, or a number"),
    (GOOD | {"float_tol": 1e-5, "checker": "exact"}, "lines, kattis, kattis_case only"),
    (GOOD | {"limits": 3}, "limits must be a JSON object; got 3"),
    (GOOD | {"limits": {"cpu_secs": 0}}, "limits.cpu_secs must be a number above 0"),
    (GOOD | {"limits": {"memory_mib": -1}}, "above 0 and at most 16777216; got -1"),
    (GOOD | {"limits": {"memory_mib": 1.5}}, "must be a whole number; got 1.5"),
    (GOOD | {"limits": {"output_mib": 1e9}}, "at most 4096"),
    (GOOD | {"limits": {"cpu_secs": "2"}}, "must be a number above 0"),
    (GOOD | {"limits": {"wall_secs": 2}}, "limits may hold cpu_secs, .* 'wall_secs'"),
]  # fmt: skip


@pytest.mark.parametrize("line, message", BAD_PROBLEMS)
def test_a_bad_problem_is_refused_with_file_and_line(write, line, message):
    path = write(GOOD | {"id": "good"}, line)
    with pytest.raises(UserError, match=message) as error:
        load_problems(path)
    assert str(error.value).startswith(f"{path}:2: ")


BAD_PROGRAMS = [
    (b'{"problem_id": "a"', "must be one JSON object"),
    (b'{"problem_id": "a", "program_id": "y", "source": "\xff"}', "must be UTF-8"),
    (PROGRAM | {"source": "'\udc80'"}, "character 2 is half of a surrogate pair"),
    (PROGRAM | {"problem_id": "b"}, "there is no problem 'b' among the 1"),
    (PROGRAM | {"problem_id": 1}, "'problem_id' must be a text; got 1"),
    (PROGRAM | {"source": None}, "'source' must be a text; got nothing"),
    ({"problem_id": "a", "program_id": "y"}, "the key 'source' is missing"),
    ({"problem_id": "a", "source": ""}, "the key 'program_id' is missing"),
    (PROGRAM, "must come once in a problem; 'x' of 'a' has come before"),
]


@pytest.mark.parametrize("line, message", BAD_PROGRAMS)
def test_a_bad_program_is_refused_with_file_and_line(write, line, message):
    path = write(PROGRAM, line)
    with pytest.raises(UserError, match=message) as error:
        count_submissions(path, PROBLEMS)
    assert str(error.value).startswith(f"{path}:2: ")


def test_a_near_problem_id_is_asked_for(write):
    problems = {"sum/10": JudgedProblem(id="sum/10", tests=())}
    with pytest.raises(UserError, match="Did you mean 'sum/10'"):
        count_submissions(write(PROGRAM | {"problem_id": "sum/1O"}), problems)


def test_duplicate_problem_ids_name_both_places(write):
    path = write(GOOD, GOOD)
    message = f"{path}:2: problem ids must differ; 'a' stands at {path}:1 already"
    with pytest.raises(UserError, match=re.escape(message)):
        load_problems(path)


def test_empty_files_missing_files_and_folders_are_refused(write, tmp_path):
    with pytest.raises(UserError, match="at least one problem; got none"):
        load_problems(write(b""))
    with pytest.raises(UserError, match="at least one program; got none"):
        count_submissions(write(b""), PROBLEMS)
    with pytest.raises(UserError, match="must be a file; there is nothing"):
        load_problems(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="must be a file; there is something else"):
        load_problems(tmp_path)


def test_programs_are_read_in_order_and_an_empty_one_is_a_program(write):
    path = write(PROGRAM, PROGRAM | {"program_id": "y", "source": ""})
    assert list(read_submissions(path, PROBLEMS)) == [
        Submission(problem_id="a", program_id="x", source="print(3)"),
        Submission(problem_id="a", program_id="y", source=""),
    ]
