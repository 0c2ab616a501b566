"""What a benchmark's rule asks of a generation.

A question is a bool that needs no run, None where the rule leaves the generation out of
the count, a run that must end without error (the official rule of the benchmarks that
are made of asserts), or a judgement outside the box.

A rule of asserts runs the tests inside the program's own process, as those benchmarks
do, so a program that ends the process early passes it. The strict rule compares what
the calls return outside; it exists where every test of the item is a call.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from simex.evals.scoring.generations import Completion
from simex.problems.problem import CallCase, Problem, TestCase
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import RunRequest

Question = bool | None | RunRequest | JudgeItem
Rule = Callable[[Completion], Question]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkItem:
    """One item and its two rules."""

    id: str  # as the files of generations name it
    record: Mapping[str, Any] = dataclasses.field(repr=False)  # of the benchmark's file
    official: Rule
    strict: Rule
    date: str = ""  # "2024-10-01", where the benchmark dates its items


def judged(problem: Problem, source: str) -> JudgeItem:
    """All tests of the problem, judged outside the box."""
    tests: list[TestCase | CallCase] = [*problem.tests, *problem.call_tests]
    return JudgeItem(tests, problem.checker, source, problem.limits, problem.float_tol)
