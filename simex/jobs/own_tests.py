"""Runs the programs of problems on their own tests, under two hash seeds.

What a run or a call is worth the judge's own rules say (`sandbox.examine`), so that
what is stored as right passes when it is judged.
"""

import itertools
from collections.abc import Iterable, Iterator

from simex.core.errors import InfraError
from simex.problems.filters.behaviour import TestRun
from simex.problems.problem import Limits, Problem
from simex.problems.program import Program, SourceItem
from simex.sandbox.checkers import check_tolerance
from simex.sandbox.examine import Examine, Test, make_examiner, make_request
from simex.sandbox.outcome import RunOutcome, RunRequest, Verdict
from simex.sandbox.pool import SandboxPool
from simex.sandbox.results import ExpectedResult, is_same_result

Outcome = RunOutcome | InfraError


def check_tests(problem: Problem) -> None:
    """Raises UserError or ValueError where no judge could decide by its tests."""
    check_tolerance(problem.float_tol)
    _make_examiner(problem)
    for test in problem.call_tests:
        make_request(test, "", Limits())
        ExpectedResult(test.expected_result)


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
        tests, examine = _tests_of(item.problem), _make_examiner(item.problem)
        yield [
            (
                program,
                [
                    _judge(item.problem, examine, test, *next(outcomes))
                    for test in tests
                ],
            )
            for program in item.programs
        ]


def _tests_of(problem: Problem) -> list[Test]:
    return [*problem.tests, *problem.call_tests]


def _requests(items: Iterable[SourceItem]) -> Iterator[RunRequest]:
    for item in items:
        for program in item.programs:
            for test in _tests_of(item.problem):
                yield make_request(test, program.source, item.problem.limits)


def _make_examiner(problem: Problem) -> Examine:
    return make_examiner(_tests_of(problem), problem.checker, problem.float_tol)


def _judge(
    problem: Problem, examine: Examine, test: Test, one: Outcome, other: Outcome
) -> TestRun:
    if isinstance(one, InfraError) or isinstance(other, InfraError):
        return TestRun(ending="infra error", is_accepted=False, is_repeated=False)
    verdict = examine(test, one)
    is_accepted: bool | None = verdict.is_accepted
    ending = verdict.value
    if verdict in (Verdict.ACCEPTED, Verdict.WRONG_OUTPUT):
        ending = "ok"
        # Another answer than the expected one may be right where there are many.
        is_accepted = None if problem.has_many_answers else is_accepted
    return TestRun(
        ending=ending, is_accepted=is_accepted, is_repeated=_is_same(one, other)
    )


def _is_same(one: RunOutcome, other: RunOutcome) -> bool:
    is_same = one.status is other.status and one.stdout == other.stdout
    return is_same and is_same_result(one.result or b"", other.result or b"")
