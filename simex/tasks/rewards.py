"""Whether an output that somebody states is the expected one."""

from collections.abc import Sequence

from simex.problems.problem import Problem
from simex.sandbox.checkers import get_checker


def is_stated_right(
    stated: str, expected: str, *, checker: str, float_tol: float | None = None
) -> bool:
    """Compares a stated stdout by the very rule that judges a printed one.

    But for blanks at the end, which models are taught to leave out: by "exact", too.

    Args:
      stated: what a model says.
      expected: the true stdout.
      checker: a name in sandbox.checkers.CHECKERS.
      float_tol: the tolerance that the problem declares, if it does.
    """
    if checker == "exact":
        stated, expected = stated.rstrip(), expected.rstrip()
    return is_printed_right(stated, expected, checker=checker, float_tol=float_tol)


def is_printed_right(
    printed: str, expected: str, *, checker: str, float_tol: float | None = None
) -> bool:
    """The rule of the judge, of what a run printed, as text."""
    return get_checker(checker, float_tol)(printed.encode("utf-8", "replace"), expected)


def as_meant(
    stated: str, expected: str, *, checker: str, float_tol: float | None = None
) -> str:
    """The text of `read_stated`."""
    return read_stated(stated, expected, checker=checker, float_tol=float_tol)[0]


def read_stated(
    stated: str, expected: str, *, checker: str, float_tol: float | None = None
) -> tuple[str, bool]:
    """What a model means by the stdout that it states, and whether that is right.

    Written `\\n` is read as a newline where none is real. Unless it is right as it is
    written: a program may well print the repr 'a\\nb'.
    """
    is_right = is_stated_right(stated, expected, checker=checker, float_tol=float_tol)
    if is_right or "\\n" not in stated or "\n" in stated.strip():
        return stated, is_right
    meant = stated.replace("\\n", "\n")
    is_right = is_stated_right(meant, expected, checker=checker, float_tol=float_tol)
    return meant, is_right


def outputs_as_meant(
    problem: Problem, stated: Sequence[str | None]
) -> list[str | None]:
    """The same for each public test; None, of a refused answer, stays."""
    return [
        output
        and as_meant(
            output,
            test.expected_stdout,
            checker=problem.checker,
            float_tol=problem.float_tol,
        )
        for test, output in zip(problem.public_tests, stated, strict=True)
    ]


def are_outputs_right(
    problem: Problem, outputs: Sequence[str], *, are_stated: bool
) -> list[bool]:
    """For each public test of `problem`, whether the output for it is right.

    Args:
      problem: with its public tests and its rule.
      outputs: as many, stated by a model or printed.
      are_stated: by a model.

    Raises:
      ValueError: there are not as many outputs as public tests.
    """
    is_right = is_stated_right if are_stated else is_printed_right
    return [
        is_right(
            output,
            test.expected_stdout,
            checker=problem.checker,
            float_tol=problem.float_tol,
        )
        for test, output in zip(problem.public_tests, outputs, strict=True)
    ]
