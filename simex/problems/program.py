"""A program that somebody wrote, and what a source publishes together with it."""

import dataclasses
import enum

from simex.problems.problem import Problem


class Claim(enum.Enum):
    """What the publisher says of a program. The judge has the last word."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A Python 3 source text, and whose it is."""

    source: str
    claim: Claim = Claim.RIGHT
    license: str = "unknown"  # of this text; the problem has one of its own
    origin: str = ""  # repository and path, or an address


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceItem:
    """One problem as its source publishes it, with the programs that come with it."""

    problem: Problem
    programs: tuple[Program, ...] = ()

    def claimed(self, claim: Claim) -> tuple[Program, ...]:
        """The programs of which the publisher says so."""
        return tuple(p for p in self.programs if p.claim is claim)
