"""Whether an output that somebody states is the expected one."""

from collections.abc import Sequence

from simex.problems.problem import Problem
from simex.sandbox.checkers import get_checker


def is_output_right(
    stated: str, expected: str, *, checker: str, float_tol: float | None = None
) -> bool:
    """Compares a stated stdout by the very rule that judges a printed one.

    Args:
      stated: what a model says, or what a run printed, as text.
      expected: the true stdout.
      checker: a name in sandbox.checkers.CHECKERS.
      float_tol: the tolerance that the problem declares, if it does.
    """
    return get_checker(checker, float_tol)(stated.encode("utf-8", "replace"), expected)


def are_outputs_right(problem: Problem, outputs: Sequence[str]) -> list[bool]:
    """For each public test of `problem`, whether the output stated for it is right.

    Raises:
      ValueError: there are not as many outputs as public tests.
    """
    return [
        is_output_right(
            output,
            test.expected_stdout,
            checker=problem.checker,
            float_tol=problem.float_tol,
        )
        for test, output in zip(problem.public_tests, outputs, strict=True)
    ]
