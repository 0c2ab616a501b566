"""Runs the programs of problems on their own tests, under two hash seeds.

A call of a function is run as a program that ends with printing the value.
"""

import ast
import inspect
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from simex.core.errors import InfraError
from simex.problems.filters.behaviour import TestRun
from simex.problems.problem import CallCase, Limits, Problem, TestCase
from simex.problems.program import Program, SourceItem
from simex.sandbox.call import find_function
from simex.sandbox.checkers import get_checker, knows_tolerance
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.pool import SandboxPool

Outcome = RunOutcome | InfraError
_MAX_VALUE_CHARS = 100_000
# The judge's rule; in a namespace of its own, for a program may have names as builtins.
_FIND = f"from __future__ import annotations\n{inspect.getsource(find_function)}"
_CALL = """
__simex_find = {{}}
exec({find!r}, __simex_find)
__simex_call = __simex_find["find_function"](globals(), {name!r})
__simex_value = repr(__simex_call(*{arguments!r}))
print()
print(__simex_value)
"""


def run_own_tests(
    pools: tuple[SandboxPool, SandboxPool], items: Iterable[SourceItem]
) -> Iterator[list[tuple[Program, list[TestRun]]]]:
    """For each item, in order: its programs with what they did on each test.

    Args:
        pools: With the usual hash seed, and with another one.
        items: Taken some ahead, so they may be many.
    """
    for_requests, for_results = itertools.tee(items)
    first, second = itertools.tee(_requests(for_requests))
    outcomes = zip(pools[0].run_all(first), pools[1].run_all(second))
    for item in for_results:
        tests = _tests_of(item.problem)
        yield [
            (
                program,
                [_judge(item.problem, test, *next(outcomes)) for test in tests],
            )
            for program in item.programs
        ]


def _tests_of(problem: Problem) -> list[TestCase | CallCase]:
    return [*problem.tests, *problem.call_tests]


def _requests(items: Iterable[SourceItem]) -> Iterator[RunRequest]:
    for item in items:
        for program in item.programs:
            for test in _tests_of(item.problem):
                yield _make_request(program.source, test, item.problem.limits)


def _make_request(source: str, test: TestCase | CallCase, limits: Limits) -> RunRequest:
    if isinstance(test, TestCase):
        return RunRequest(source=source, stdin=test.stdin, limits=limits)
    ending = _CALL.format(find=_FIND, name=test.function, arguments=test.arguments)
    return RunRequest(source=source + ending, limits=limits)


def _judge(
    problem: Problem, test: TestCase | CallCase, one: Outcome, other: Outcome
) -> TestRun:
    if isinstance(one, InfraError) or isinstance(other, InfraError):
        return TestRun(ending="infra error", is_accepted=False, is_repeated=False)
    is_accepted: bool | None = one.status.is_ok
    if is_accepted:
        # Another answer than the expected one may be right where there are many.
        many = problem.has_many_answers
        is_accepted = None if many else _is_right(problem, test, one.stdout)
    same = one.status is other.status and one.stdout == other.stdout
    return TestRun(ending=one.status.value, is_accepted=is_accepted, is_repeated=same)


def _is_right(problem: Problem, test: TestCase | CallCase, printed: bytes) -> bool:
    if isinstance(test, CallCase):
        return _is_value_right(printed, test.expected_result, problem.float_tol)
    tolerance = problem.float_tol if knows_tolerance(problem.checker) else None
    return get_checker(problem.checker, tolerance)(printed, test.expected_stdout)


def _is_value_right(printed: bytes, expected: object, tolerance: float | None) -> bool:
    text = printed.decode("utf-8", "replace").rstrip("\n").rpartition("\n")[2]
    if len(text) > _MAX_VALUE_CHARS:
        return False
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return is_value_close(value, expected, tolerance)


def is_value_close(value: Any, expected: Any, tolerance: float | None) -> bool:
    """Equal as a value; a tuple for a list and 3.0 for 3 will do, True for 1 not."""
    if isinstance(expected, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(expected)
            and all(is_value_close(v, e, tolerance) for v, e in zip(value, expected))
        )
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and value.keys() == expected.keys()
            and all(is_value_close(value[k], expected[k], tolerance) for k in expected)
        )
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if tolerance is not None and isinstance(expected, float):
        is_number = isinstance(value, int | float) and math.isfinite(value)
        return is_number and abs(value - expected) <= tolerance * max(1, abs(expected))
    return value == expected
