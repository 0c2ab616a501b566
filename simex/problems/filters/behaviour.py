"""Predicates on what the sandbox saw of a program: two runs a test, two hash seeds."""

import dataclasses
import enum
from collections.abc import Sequence

from simex.problems.program import Claim


class Fate(enum.Enum):
    """What becomes of a program after its runs."""

    RIGHT = "right"
    WRONG = "wrong"
    DROPPED = "dropped"

    def __bool__(self):
        raise TypeError("A Fate has no truth value; compare it.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestRun:
    """One test: how the first run ended, and what both printed."""

    __test__ = False  # the name is the field's; pytest must not collect it

    ending: str  # "ok", or the status that the run ended with; "infra error"
    # By the checker of the problem. None: it ended well, and where many answers are right
    # nothing more is to be seen.
    is_accepted: bool | None
    is_repeated: bool  # the run with another hash seed ended and printed the same


def why_not_deterministic(runs: Sequence[TestRun]) -> str | None:
    """Two runs of one test differ. Runs out of time or memory are not compared."""
    for index, run in enumerate(runs):
        if run.ending in ("ok", "runtime_error") and not run.is_repeated:
            return f"test {index} differs under another hash seed"
    return None


def why_failing(runs: Sequence[TestRun]) -> str | None:
    """The first test that is surely not passed, and how it ended."""
    for index, run in enumerate(runs):
        if run.is_accepted is False:
            ended = "another answer" if run.ending == "ok" else run.ending
            return f"test {index}: {ended}"
    return None


def fate_of(claim: Claim, runs: Sequence[TestRun]) -> tuple[Fate, str]:
    """What becomes of a program, and the reason where it is not what it claims to be.

    A program that claims to be right and fails is kept as a wrong one; one that claims
    to be wrong and passes is dropped, since the tests may be too few to tell. What cannot
    be compared and ends well stays what it claims to be.
    """
    if not runs or any(run.ending == "infra error" for run in runs):
        return Fate.DROPPED, "could not be run"
    if why_not_deterministic(runs) is not None:
        return Fate.DROPPED, "is not deterministic"
    is_right = why_failing(runs) is None
    if claim is Claim.RIGHT:
        return (Fate.RIGHT, "") if is_right else (Fate.WRONG, "fails its own tests")
    if is_right and all(run.is_accepted for run in runs):
        return Fate.DROPPED, "claims to be wrong and passes every test"
    return Fate.WRONG, ""
