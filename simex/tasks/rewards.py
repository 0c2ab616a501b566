"""Whether an output that somebody states is the expected one."""

from simex.sandbox.checkers import get_checker


def is_output_right(stated: str, expected: str, *, checker: str) -> bool:
    """Compares a stated stdout by the very rule that judges a printed one.

    Args:
      stated: what a model says, or what a run printed, as text.
      expected: the true stdout.
      checker: a name in sandbox.checkers.CHECKERS.
    """
    return get_checker(checker)(stated.encode("utf-8", "replace"), expected)
