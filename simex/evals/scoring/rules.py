"""What a benchmark's rule asks of a generation.

A question is a bool that needs no run, None where the rule leaves the generation out of
the count, or a judgement.

A rule of asserts runs the tests inside the program's own process, as those benchmarks
do, so a program that tampers with them may pass it: one whose results say that they
equal everything, or one that writes "True" itself to the file by which `check` hands
its result out, and then ends the process. One that merely ends the process before the
tests are through fails. No secret would change that: whatever this process knows, the
program can find. The strict rule compares what the calls return outside; it exists
where every test of the item is a call.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from simex.evals.scoring.generations import Completion
from simex.problems.problem import CallCase, Limits, Problem, TestCase, Visibility
from simex.sandbox.judging import JudgeItem

Question = bool | None | JudgeItem
Rule = Callable[[Completion], Question]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkItem:
    """One item and its two rules."""

    id: str  # as the files of generations name it
    record: Mapping[str, Any] = dataclasses.field(repr=False)  # of the benchmark's file
    official: Rule
    strict: Rule
    date: str = ""  # "2024-10-01", where the benchmark dates its items
    has_reference: bool = False  # the official rule is `evalplus_rule.compare`


def judged(problem: Problem, source: str) -> JudgeItem:
    """All tests of the problem, judged outside the box."""
    tests: list[TestCase | CallCase] = [*problem.tests, *problem.call_tests]
    return JudgeItem(tests, problem.checker, source, problem.limits, problem.float_tol)


def runs_through(source: str, limits: Limits) -> JudgeItem:
    """Does `source`, a program with its asserts, run to its end without an error?

    It is executed as openai/human-eval, evalplus and facebookresearch/cruxeval execute
    it: in a namespace of its own, where `__name__` is not "__main__", with `exit` and
    `quit` set to None. Whatever ends it before its end fails, `sys.exit(0)` as well,
    unless it forges the result (the head of this file). Two things are ours: standard
    input is empty where it raises OSError there, and there are no installed packages.

    Example: of ``assert 1`` yes, of ``raise SystemExit`` no.
    """
    return returns_true(_RUNS_THROUGH.format(source=source), limits)


def returns_true(source: str, limits: Limits) -> JudgeItem:
    """Does the function `check` of `source`, called without arguments, return True?

    What `check` itself executes can forge that (the head of this file).
    """
    test = CallCase(
        function="check",
        arguments=(),
        expected_result=True,
        visibility=Visibility.PRIVATE,
    )
    return JudgeItem([test], "exact", source, limits)


_RUNS_THROUGH = """
import builtins

def check():
    builtins.exit = builtins.quit = None
    exec({source!r}, {{}})
    return True
"""
