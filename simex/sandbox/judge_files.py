"""The two files that `simex judge` reads: problems with tests, and programs.

A line of the problems:

    {"id": "sum/0",
     "tests": [{"stdin": "1 2", "stdout": "3"},
               {"fn": "add", "args": [1, 2], "result": 3},
               {"fn": "set", "args_text": "((1, 2),)", "result_text": "{1, 2}"}],
     "checker": "lines", "float_tol": null,
     "limits": {"cpu_secs": 2, "memory_mib": 1024, "output_mib": 8}}

The texts are Python literals, for values that are no JSON. `checker`, `float_tol` and
`limits`, and each of the three limits, may be left out. A line of the programs:
``{"problem_id": "sum/0", "program_id": "a", "source": "..."}``.
"""

import ast
import dataclasses
import difflib
import hashlib
import keyword
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from simex.core.errors import UserError
from simex.core.strict_jsonl import read_strict_jsonl
from simex.problems.problem import CallCase, Limits, TestCase, Visibility
from simex.sandbox.checkers import check_tolerance
from simex.sandbox.examine import Test, make_examiner, make_request
from simex.sandbox.judge import JudgeItem
from simex.sandbox.results import ExpectedResult

_MAX_LIMITS = {"cpu_secs": 86_400, "memory_mib": 1 << 24, "output_mib": 4096}
_OPTIONAL = ("checker", "float_tol", "limits")
_STDIN_KEYS, _CALL_KEYS = {"stdin", "stdout"}, {"fn", "args", "result"}
_TEXT_KEYS = {"fn", "args_text", "result_text"}
_PASSED_OVER = {"visibility"}  # problems of simex's own have it
_DEFAULT_CHECKER = "lines"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedProblem:
    """What of a problem the judge needs."""

    id: str
    tests: tuple[Test, ...]
    checker: str = _DEFAULT_CHECKER
    float_tol: float | None = None
    limits: Limits = Limits()

    def item(self, source: str) -> JudgeItem:
        """A program that is to be judged by these tests."""
        return JudgeItem(
            self.tests, self.checker, source, self.limits, float_tol=self.float_tol
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """A program that somebody wrote for a problem."""

    problem_id: str
    program_id: str
    source: str


def load_problems(path: str | os.PathLike[str]) -> dict[str, JudgedProblem]:
    """The problems of a file by their ids.

    Raises:
      UserError: a line breaks a rule of the format; it names the file and the line.
    """
    problems: dict[str, JudgedProblem] = {}
    places: dict[str, str] = {}
    for place, record in read_strict_jsonl(path):
        problem = parse_problem(record, place)
        if problem.id in problems:
            raise UserError(
                f"{place}: problem ids must differ; {problem.id!r} stands at "
                f"{places[problem.id]} already."
            )
        problems[problem.id], places[problem.id] = problem, place
    if not problems:
        raise UserError(f"{os.fspath(path)} must hold at least one problem; got none.")
    return problems


def read_submissions(
    path: str | os.PathLike[str], problems: Mapping[str, JudgedProblem]
) -> Iterator[Submission]:
    """The programs of a file, one at a time.

    Raises:
      UserError: a line breaks a rule of the format; it names the file and the line.
    """
    seen: set[bytes] = set()  # hashes: a file may hold millions of programs
    for place, record in read_strict_jsonl(path):
        texts = [_text(record, k, place) for k in ("problem_id", "program_id")]
        submission = Submission(
            problem_id=texts[0],
            program_id=texts[1],
            source=_text(record, "source", place, may_be_empty=True),
        )
        _refuse_unknown_problem(submission.problem_id, problems, place)
        key = hashlib.blake2b(repr(texts).encode(), digest_size=16).digest()
        if key in seen:
            raise UserError(
                f"{place}: a program id must come once in a problem; {texts[1]!r} of "
                f"{texts[0]!r} has come before."
            )
        seen.add(key)
        yield submission


def count_submissions(
    path: str | os.PathLike[str], problems: Mapping[str, JudgedProblem]
) -> int:
    """How many programs a file holds, after a look at every one; raises UserError."""
    number = sum(1 for _ in read_submissions(path, problems))
    if not number:
        raise UserError(f"{os.fspath(path)} must hold at least one program; got none.")
    return number


def parse_problem(record: Mapping[str, Any], place: str) -> JudgedProblem:
    """Raises UserError, with `place` in front, where a rule is broken."""
    _refuse_misspelt(record, place)
    name = _text(record, "id", place)
    tests = record.get("tests")
    if not isinstance(tests, list) or not tests:
        raise UserError(
            f"{place}: problem {name!r}: tests must be a list of at least one test; got "
            f"{_shown(tests)}. A program cannot be judged without one."
        )
    parsed = tuple(
        _parse_test(test, f"{place}: problem {name!r}: test {number}")
        for number, test in enumerate(tests, start=1)
    )
    problem = JudgedProblem(
        id=name,
        tests=parsed,
        checker=_text(record, "checker", place, default=_DEFAULT_CHECKER),
        float_tol=_parse_tolerance(record.get("float_tol"), place),
        limits=_parse_limits(record.get("limits"), place),
    )
    try:
        make_examiner(problem.tests, problem.checker, problem.float_tol)
    except UserError as error:
        raise UserError(f"{place}: problem {name!r}: {error}") from None
    return problem


def _parse_test(test: Any, place: str) -> Test:
    if not isinstance(test, dict):
        raise UserError(f"{place} must be a JSON object; got {_shown(test)}.")
    keys = set(test) - _PASSED_OVER
    if keys == _STDIN_KEYS:
        return TestCase(
            stdin=_text(test, "stdin", place, may_be_empty=True),
            expected_stdout=_text(test, "stdout", place, may_be_empty=True),
            visibility=Visibility.PRIVATE,
        )
    if keys == _CALL_KEYS:
        return _parse_call(test, place)
    if keys == _TEXT_KEYS:
        texts = {key: f"{key}_text" for key in ("args", "result")}
        values = {key: _literal(test, text, place) for key, text in texts.items()}
        return _parse_call(test | values, place)
    raise UserError(
        f"{place} must have either the keys stdin and stdout, or fn, args and result, "
        "or fn, args_text and result_text, and no others; got "
        f"{', '.join(sorted(map(str, keys))) or 'none'}."
    )


def _literal(test: Mapping[str, Any], key: str, place: str) -> Any:
    text = _text(test, key, place)
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise UserError(
            f"{place}: {key} must be a literal of Python; got {_shown(text)}."
        ) from None


def _parse_call(test: Mapping[str, Any], place: str) -> CallCase:
    name, arguments = _text(test, "fn", place), test["args"]
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{place}: fn must be a name of Python; got {name!r}.")
    if not isinstance(arguments, list | tuple):
        raise UserError(
            f"{place}: args must be a list, one entry an argument; got "
            f"{_shown(arguments)}."
        )
    case = CallCase(
        function=name,
        arguments=tuple(arguments),
        expected_result=test["result"],
        visibility=Visibility.PRIVATE,
    )
    try:
        make_request(case, "", Limits())
        ExpectedResult(case.expected_result)
    except ValueError as error:
        raise UserError(f"{place}: {error}.") from None
    return case


def _parse_tolerance(value: Any, place: str) -> float | None:
    try:
        check_tolerance(value)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None
    return None if value is None else float(value)


def _parse_limits(value: Any, place: str) -> Limits:
    if value is None:
        return Limits()
    if not isinstance(value, dict):
        raise UserError(f"{place}: limits must be a JSON object; got {_shown(value)}.")
    for name, number in value.items():
        if name not in _MAX_LIMITS:
            known = ", ".join(_MAX_LIMITS)
            raise UserError(f"{place}: limits may hold {known}; got {name!r}.")
        largest = _MAX_LIMITS[name]
        if not _is_number(number) or not 0 < number <= largest:
            raise UserError(
                f"{place}: limits.{name} must be a number above 0 and at most "
                f"{largest}; got {_shown(number)}."
            )
    if "memory_mib" in value and value["memory_mib"] != int(value["memory_mib"]):
        raise UserError(
            f"{place}: limits.memory_mib must be a whole number; got "
            f"{value['memory_mib']}."
        )
    given = {name: float(number) for name, number in value.items()}
    memory_mib = int(given.pop("memory_mib", Limits.memory_mib))
    return Limits(memory_mib=memory_mib, **given)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _text(
    record: Mapping[str, Any],
    key: str,
    place: str,
    *,
    default: str | None = None,
    may_be_empty: bool = False,
) -> str:
    value = record.get(key, default)
    if key not in record and default is None:
        raise UserError(f"{place}: the key {key!r} is missing.")
    if not isinstance(value, str):
        raise UserError(f"{place}: {key!r} must be a text; got {_shown(value)}.")
    if not value and not may_be_empty:
        raise UserError(f"{place}: {key!r} must not be empty.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{place}: {key!r} must be text that UTF-8 can hold; its character "
            f"{error.start + 1} is half of a surrogate pair."
        ) from None
    return value


def _refuse_unknown_problem(
    name: str, problems: Mapping[str, JudgedProblem], place: str
) -> None:
    if name in problems:
        return
    near = difflib.get_close_matches(name, list(problems)[:1000], n=1, cutoff=0.7)
    question = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"{place}: there is no problem {name!r} among the {len(problems)}.{question}"
    )


def _refuse_misspelt(record: Mapping[str, Any], place: str) -> None:
    """Keys of other readers are let be, but not those that look like one of ours."""
    for key in record:
        near = difflib.get_close_matches(key, _OPTIONAL, n=1, cutoff=0.75)
        if near and near[0] != key:
            raise UserError(f"{place}: unknown key {key!r}. Did you mean {near[0]!r}?")


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
