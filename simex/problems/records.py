"""Problems with their programs as JSON records, and back: simex's own file form.

One object a line. Only `id` and `tests` are required; `simex judge --problems` reads
the same form:

* ``tests``: objects of ``{"stdin", "stdout"}`` or ``{"fn", "args", "result"}``, each
  with a ``visibility`` (public, private or generated; private if left out). Where a
  value is no JSON (a tuple, a set, bytes), ``args_text`` and ``result_text`` hold
  Python literals instead.
* ``checker``: a name in sandbox.checkers.CHECKERS; ``float_tol``; ``limits``:
  ``{"cpu_secs", "memory_mib", "output_mib"}``.
* every other field of `Problem` by its name: ``statement``, ``license``, ``source``,
  ``split``, ``composition`` (the id if left out), ``title``, ``rating``, ``tags``, ...
* ``right_programs`` and ``wrong_programs``: texts; ``program_licenses``: the licence of
  a program by the text of it, where it is known.
"""

import ast
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import CallCase, Limits, Problem, TestCase, Visibility
from simex.problems.program import Claim, Program, SourceItem
from simex.problems.rows import BadRecord

DEFAULT_CHECKER = "lines"
_SPECIAL_FIELDS = ("tests", "call_tests", "limits", "tags")
_TEXTS = (
    *("id", "statement", "checker", "source", "composition", "split", "license"),
    *("call", "starter", "title", "origin"),
)
_PROBLEM_FIELDS = frozenset(f.name for f in dataclasses.fields(Problem))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProblemWithPrograms:
    """A problem and programs that were written for it, right ones first."""

    problem: Problem
    right_programs: tuple[str, ...]
    wrong_programs: tuple[str, ...]  # judged wrong on at least one test
    program_licenses: Mapping[str, str] = dataclasses.field(default_factory=dict)


def to_record(item: ProblemWithPrograms) -> dict[str, Any]:
    """A JSON-ready dict from which `from_record` makes an equal object.

    Fields that hold their default are left out, but those that every reader wants.
    """
    problem = item.problem
    record = {
        field.name: getattr(problem, field.name)
        for field in dataclasses.fields(problem)
        if field.name not in _SPECIAL_FIELDS
        and (
            field.name in ("split", "license")
            or getattr(problem, field.name) != field.default
        )
    }
    record["tests"] = [
        {
            "stdin": t.stdin,
            "stdout": t.expected_stdout,
            "visibility": t.visibility.value,
        }
        for t in problem.tests
    ]
    record["tests"] += [_call_record(t) for t in problem.call_tests]
    record["limits"] = dataclasses.asdict(problem.limits)
    if problem.tags:
        record["tags"] = list(problem.tags)
    record["right_programs"] = list(item.right_programs)
    record["wrong_programs"] = list(item.wrong_programs)
    if item.program_licenses:
        record["program_licenses"] = dict(item.program_licenses)
    return record


def from_record(record: Mapping[str, Any]) -> ProblemWithPrograms:
    """The inverse of `to_record`; what is left out takes its default.

    Raises:
        KeyError, TypeError, ValueError: it is no such record.
    """
    fields = {name: record[name] for name in _PROBLEM_FIELDS & record.keys()}
    tests = record["tests"]
    fields["tests"] = tuple(_parse_test(t) for t in tests if "fn" not in t)
    fields["call_tests"] = tuple(_parse_call(t) for t in tests if "fn" in t)
    fields["limits"] = Limits(**record.get("limits") or {})
    fields["tags"] = tuple(record.get("tags", ()))
    fields.setdefault("statement", "")
    fields.setdefault("checker", DEFAULT_CHECKER)
    fields.setdefault("source", "jsonl")
    fields.setdefault("composition", record["id"])
    return ProblemWithPrograms(
        right_programs=tuple(record.get("right_programs", ())),
        wrong_programs=tuple(record.get("wrong_programs", ())),
        program_licenses=dict(record.get("program_licenses", {})),
        problem=Problem(**fields),
    )


def item_of(item: ProblemWithPrograms) -> SourceItem:
    """The same problem and programs in the form of a source."""
    problem = item.problem
    claimed = [(Claim.RIGHT, text) for text in item.right_programs]
    claimed += [(Claim.WRONG, text) for text in item.wrong_programs]
    return SourceItem(
        problem=problem,
        programs=tuple(
            Program(
                source=text,
                claim=claim,
                license=item.program_licenses.get(text, problem.license),
                origin=problem.origin,
            )
            for claim, text in claimed
        ),
    )


def with_programs(item: SourceItem) -> ProblemWithPrograms:
    """The inverse of `item_of`; of the programs' origins the problem's is kept."""
    own = item.problem.license
    return ProblemWithPrograms(
        problem=item.problem,
        right_programs=tuple(p.source for p in item.claimed(Claim.RIGHT)),
        wrong_programs=tuple(p.source for p in item.claimed(Claim.WRONG)),
        program_licenses={
            p.source: p.license for p in item.programs if p.license != own
        },
    )


def check_item(item: SourceItem) -> None:
    """Raises BadRecord where an item cannot be written and read again."""
    problem = item.problem
    texts = [(name, getattr(problem, name)) for name in _TEXTS]
    texts += [("stdin", test.stdin) for test in problem.tests]
    texts += [("stdout", test.expected_stdout) for test in problem.tests]
    texts += [("a program", program.source) for program in item.programs]
    for name, text in texts:
        if not isinstance(text, str):
            raise BadRecord(f"{name} must be a text; it is {text!r:.80}")
    try:
        record = to_record(with_programs(item))
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
        from_record(record)
    except (ValueError, TypeError, RecursionError) as error:  # half an emoji, NaN
        raise BadRecord(
            f"cannot be written as JSON in UTF-8 and read: {error}"
        ) from None


def _parse_test(record: Mapping[str, Any]) -> TestCase:
    return TestCase(
        stdin=record["stdin"],
        expected_stdout=record["stdout"],
        visibility=Visibility(record.get("visibility", "private")),
    )


def _call_record(test: CallCase) -> dict[str, Any]:
    record: dict[str, Any] = {"fn": test.function}
    args, result = test.arguments, test.expected_result
    if is_json(args, is_outermost=True) and is_json(result):
        record |= {"args": list(args), "result": result}
    else:
        record |= {"args_text": literal_text(args), "result_text": literal_text(result)}
    return record | {"visibility": test.visibility.value}


def literal_text(value: Any) -> str:
    """The repr of a value of literals, but with sets in an order that is always one."""
    if isinstance(value, dict):
        pairs = [f"{literal_text(k)}: {literal_text(v)}" for k, v in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise ValueError("nan has no literal, and equals nothing")
        return "1e999" if value > 0 else "-1e999"
    if isinstance(value, set | frozenset):
        if not value:
            return "set()"
        return f"{{{', '.join(sorted(map(literal_text, value)))}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal_text, value))}]"
    if isinstance(value, tuple):
        comma = "," if len(value) == 1 else ""
        return f"({', '.join(map(literal_text, value))}{comma})"
    return repr(value)


def _parse_call(record: Mapping[str, Any]) -> CallCase:
    if "args_text" in record:
        args = ast.literal_eval(record["args_text"])
        result = ast.literal_eval(record["result_text"])
    else:
        args, result = record["args"], record["result"]
    return CallCase(
        function=record["fn"],
        arguments=tuple(args),
        expected_result=result,
        visibility=Visibility(record.get("visibility", "private")),
    )


def is_json(value: Any, *, is_outermost: bool = False) -> bool:
    """Does a value come back from JSON as it went in? Tuples, sets, nan do not."""
    if isinstance(value, list) or (is_outermost and isinstance(value, tuple)):
        return all(map(is_json, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_json(v) for k, v in value.items())
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor nan
    return value is None or isinstance(value, str | int)
