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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramRun:
    """One program on one stdin, and what it must print if its publisher is right."""

    id: str
    source: str
    stdin: str
    expected_stdout: str | None  # None where nobody says
    claim: Claim
    group: str  # runs of one group never sit on both sides of a split
    license: str
    call: str = ""  # the expression whose repr is printed, of a function


def runs_of(item: SourceItem, *, max_tests: int | None = None) -> list[ProgramRun]:
    """Every program of an item on its first `max_tests` tests (None: on all)."""
    problem = item.problem
    return [
        ProgramRun(
            id=f"{problem.id}/{rank}/{index}",
            source=program.source,
            stdin=test.stdin,
            expected_stdout=(
                test.expected_stdout if program.claim is Claim.RIGHT else None
            ),
            claim=program.claim,
            group=problem.composition,
            license=program.license,
            call=problem.call,
        )
        for rank, program in enumerate(item.programs)
        for index, test in enumerate(problem.tests[:max_tests])
    ]
