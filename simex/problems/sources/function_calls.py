"""Calls of real functions with the value that each gives, one JSON object a line.

``id``, ``group``, ``kind`` (returns, raises or prints), ``entry``, ``source``,
``setup``, ``call``, ``expected`` (the repr, "Type: message" or the printed text),
``description``, ``license``, ``repo``, ``path``. Each becomes a program that prints
what the call gives. Tasks with a statement and such tests are read as well.
"""

import ast
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import Limits, Problem, TestCase, Visibility
from simex.problems.program import Program, SourceItem
from simex.problems.rows import BadRecord, text_of
from simex.problems.sources.assertions import parse_assertions

LIMITS = Limits(cpu_secs=2.0)
_RAISES = """try:
    {call}
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""
_ENDINGS = {
    "returns": "print(repr({call}))\n",
    "raises": _RAISES,
    "prints": "{call}\n",
}


def parse_function_call(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or the kind is unknown."""
    kind, call = text_of(record, "kind"), text_of(record, "call")
    if kind not in _ENDINGS:
        raise BadRecord(f"kind must be one of {', '.join(_ENDINGS)}; got {kind!r}")
    call = _without_comment(call)
    expected = text_of(record, "expected")
    printed = expected if kind == "prints" else f"{expected}\n"
    license = text_of(record, "license")
    origin = f"{record.get('repo', '')} {record.get('path', '')}".strip()
    parts = [text_of(record, "source").strip("\n"), text_of(record, "setup")]
    source = "\n".join([*filter(None, parts), _ENDINGS[kind].format(call=call)])
    test = TestCase(stdin="", expected_stdout=printed, visibility=Visibility.PUBLIC)
    problem = Problem(
        id=text_of(record, "id"),
        statement="",
        tests=(test,),
        checker="exact" if kind != "prints" else "lines",
        source="function_calls",
        composition=text_of(record, "group"),
        limits=LIMITS,
        license=license,
        # The value of a call can be asked for where the program prints just that.
        call=call if kind == "returns" else "",
        title=record.get("entry") or "",
        origin=origin,
    )
    program = Program(source=source, license=license, origin=origin)
    return SourceItem(problem=problem, programs=(program,))


def _without_comment(call: str) -> str:
    """The call on one line; a comment behind it would swallow what follows."""
    if "#" not in call and "\n" not in call:
        return call
    try:
        return ast.unparse(ast.parse(call.strip(), mode="eval"))
    except (SyntaxError, ValueError, RecursionError):
        raise BadRecord("call is no expression") from None


def parse_function_task(record: Mapping[str, Any]) -> SourceItem:
    """A statement, a starter, a solution and tests ``{"setup", "call", "expected"}``."""
    tests = record.get("tests")
    if not isinstance(tests, list) or not all(isinstance(t, Mapping) for t in tests):
        raise BadRecord("no list of tests")
    plain = [t for t in tests if t.get("kind") == "returns" and not t.get("setup")]
    found = parse_assertions(
        [f"assert {text_of(t, 'call')} == {text_of(t, 'expected')}" for t in plain],
        num_public=2,
    )
    license, task_id = text_of(record, "license"), text_of(record, "id")
    origin = f"{record.get('repo', '')} {record.get('path', '')}".strip()
    problem = Problem(
        id=task_id,
        statement=text_of(record, "statement"),
        tests=(),
        call_tests=found.calls,
        num_tests_left_out=found.num_left_out + len(tests) - len(plain),
        checker="lines",
        source="function_tasks",
        composition=task_id,
        limits=LIMITS,
        license=license,
        starter=text_of(record, "starter"),
        title=record.get("title") or "",
        origin=origin,
    )
    program = Program(
        source=text_of(record, "solution"), license=license, origin=origin
    )
    return SourceItem(problem=problem, programs=(program,))
