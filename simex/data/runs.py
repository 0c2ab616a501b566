"""Programs to be explained, a shard at a time: any shard can be had without the others."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Protocol

from simex.core.prng import host_rng
from simex.problems.sources.curriculum.draft import draw_drafts
from simex.problems.sources.curriculum.spec import Grammar
from simex.sandbox.checkers import knows_tolerance
from simex.tasks.rewards import is_printed_right


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One program on one stdin."""

    id: str
    program: str  # runs of one program have this in common
    group: str  # examples of one group never sit on both sides of a split
    source: str
    stdin: str
    origin: str  # a name in problems.sources.SOURCES
    license: str = "Apache-2.0"
    expected: str | None = None  # what it is to print; None: not known
    checker: str = "exact"  # in sandbox.checkers.CHECKERS: how that is compared
    float_tol: float | None = None
    call: str = ""  # of a function: the expression whose repr is printed at the end
    problem: str = ""  # the id of the problem with a statement that it is to solve


def is_as_expected(
    printed: str, expected: str | None, *, checker: str, float_tol: float | None
) -> bool:
    """Whether a run printed what it is to print, by the rule of its problem."""
    if expected is None:
        return True
    tolerance = float_tol if knows_tolerance(checker) else None
    return is_printed_right(printed, expected, checker=checker, float_tol=tolerance)


class ShardedRuns(Protocol):
    """Runs of which any shard can be had; a pure function of its arguments."""

    def shard(self, split: str, index: int, *, size: int, seed: int) -> Iterator[Run]:
        """At most `size` runs; those of one program follow each other."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurriculumRuns:
    """Right and wrong programs of the generated curriculum, as many as are wanted."""

    grammar: Grammar = Grammar()
    inputs_per_program: int = 2
    num_wrong: int = 1

    def shard(self, split: str, index: int, *, size: int, seed: int) -> Iterator[Run]:
        """`size` runs, the same for the same arguments; no end to the shards."""
        drawn_by = int(host_rng(seed, "shards", split, index).integers(2**62))
        drafts = draw_drafts(
            drawn_by,
            split,
            grammar=self.grammar,
            num_problems=-(-size // self.inputs_per_program),
            num_public=self.inputs_per_program,
            num_hidden=0,
            num_wrong=self.num_wrong,
        )
        runs = (
            Run(
                id=f"{split}/{index:05d}/{draft.id}/{role}/{number}",
                program=f"{split}/{index:05d}/{draft.id}/{role}",
                group=draft.composition,
                source=source,
                stdin=stdin,
                origin="curriculum",
            )
            for draft in drafts
            for role, source in (
                ("right", draft.right_program),
                *(
                    (f"wrong{number or ''}", wrong)
                    for number, wrong in enumerate(draft.wrong_programs)
                ),
            )
            for number, stdin in enumerate(draft.public_inputs)
        )
        return itertools.islice(runs, size)
