"""The rollouts of one train step: whose turn it is, and refills of flat groups."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.prng import host_rng
from simex.rl.advantage import refuse_single
from simex.rl.curriculum import Curriculum, Rates
from simex.rl.selection import is_flat, pass_rate
from simex.rl.watchdog import Watchdog
from simex.rollouts.beside import Waits
from simex.rollouts.objective import Objective, split_rollouts
from simex.rollouts.policy import Policy
from simex.rollouts.rollout import Group


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where collecting stands; a checkpoint holds it, so resuming is exact."""

    batch: int = 0  # batches collected, those among them that were dropped
    positions: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Items asked about by objective, over all epochs."""

    pass_rates: Mapping[str, Rates] = dataclasses.field(default_factory=dict)
    """By objective: what a curriculum knows of the items."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collected:
    """The groups of one batch, and how they came about."""

    groups: tuple[Group, ...]
    cursor: Cursor  # after this batch
    version: int  # train steps behind the params that sampled it
    secs: float  # that collecting took
    judge_wait_secs: float = 0.0  # of those: nothing was left to decode
    num_refills: int = 0  # further rounds of sampling for flat groups
    num_unfilled: int = 0  # groups still missing after the last round


@dataclasses.dataclass(kw_only=True)
class Collector:
    """Collects batch after batch; each goes on from where the one before ended."""

    objectives: Sequence[tuple[Objective, Sequence[Any]]]  # each with its items
    pool: Any  # a SandboxPool, or one that stands for it
    rollouts_per_step: int
    max_refills: int  # 0: flat groups are left as they are
    policy: Policy  # with any params
    seed: int
    watchdog: Watchdog
    cursor: Cursor = Cursor()
    curriculum: Curriculum | None = None  # None: shuffled epochs

    def __post_init__(self) -> None:
        """Raises UserError for an objective that could not teach anything."""
        names = [objective.name for objective, _ in self.objectives]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(
                "Objectives must have names of their own, under which their place in the "
                f"data, pass rates and metrics are kept; several are called "
                f"{', '.join(repeated)}. Name one, as in other/SolveObjective.name = "
                f'"{repeated[0]}_other".'
            )
        for objective, items in self.objectives:
            refuse_single(
                objective.group_size, whose=f"A group of the objective {objective.name}"
            )
            if not items:
                raise UserError(
                    f"The objective {objective.name} must have items to ask about; it "
                    "has none. Run the stage that makes them with more of them."
                )

    def collect(self, params: Any, version: int) -> Collected:
        """The next batch, sampled by `params`; moves the cursor behind it."""
        started = time.monotonic()
        waits = Waits()
        policy = dataclasses.replace(
            self.policy, params=params, version=version, waits=waits
        )
        counts = split_rollouts([o for o, _ in self.objectives], self.rollouts_per_step)
        groups: list[Group] = []
        num_refills = num_unfilled = 0
        for index, count in enumerate(counts):
            if count:
                found, rounds, missing = self._fill(policy, index, count)
                groups += found
                num_refills += rounds
                num_unfilled += missing
        self.cursor = dataclasses.replace(self.cursor, batch=self.cursor.batch + 1)
        return Collected(
            groups=tuple(groups),
            cursor=self.cursor,
            version=version,
            secs=time.monotonic() - started,
            judge_wait_secs=waits.judge_secs,
            num_refills=num_refills,
            num_unfilled=num_unfilled,
        )

    def _fill(
        self, policy: Policy, index: int, count: int
    ) -> tuple[list[Group], int, int]:
        """All groups sampled, the rounds of refilling, and what is still missing.

        Dynamic sampling as in DAPO (arXiv 2503.14476), but bounded: after the last
        round the step goes on with what is there, and says so.
        """
        groups = self._ask(policy, index, count, round_=0)
        rounds = 0
        missing = sum(map(is_flat, groups)) if self.max_refills else 0
        while missing and rounds < self.max_refills:
            rounds += 1
            found = self._ask(policy, index, missing, round_=rounds)
            groups += found
            missing = sum(map(is_flat, found))
        return groups, rounds, missing

    def _ask(
        self, policy: Policy, index: int, count: int, *, round_: int
    ) -> list[Group]:
        objective, items = self.objectives[index]
        start = self.cursor.positions.get(objective.name, 0)
        numbers = self._choose(objective.name, len(items), count, start=start)
        self.cursor = dataclasses.replace(
            self.cursor,
            positions={**self.cursor.positions, objective.name: start + count},
        )
        # Each round of each objective has samples of its own.
        stream = index + round_ * len(self.objectives)
        what = f"{count * objective.group_size} rollouts of {objective.name}"
        with self.watchdog.awaiting(f"{what}, batch {self.cursor.batch}"):
            groups = objective.collect(
                policy,
                [items[number] for number in numbers],
                pool=self.pool,
                seed_path=(self.seed, self.cursor.batch, stream),
            )
        self._remember(objective.name, numbers, groups)
        return groups

    def _choose(
        self, name: str, num_items: int, count: int, *, start: int
    ) -> list[int]:
        if self.curriculum is None:
            return pick_numbers(num_items, count, seed=self.seed, start=start)
        return self.curriculum.choose(
            self.cursor.pass_rates.get(name, {}),
            num_items,
            count,
            rng=host_rng(self.seed, "rl curriculum", name, start),
        )

    def _remember(
        self, name: str, numbers: Sequence[int], groups: Sequence[Group]
    ) -> None:
        """A group that was lost to faults of ours says nothing of its item."""
        if self.curriculum is None:
            return
        known = [
            (number, pass_rate(group))
            for number, group in zip(numbers, groups, strict=True)
            if group.valid_rollouts
        ]
        rates = self.curriculum.remember(
            self.cursor.pass_rates.get(name, {}),
            [number for number, _ in known],
            [rate for _, rate in known],
        )
        self.cursor = dataclasses.replace(
            self.cursor, pass_rates={**self.cursor.pass_rates, name: rates}
        )


def pick_numbers(num_items: int, count: int, *, seed: int, start: int) -> list[int]:
    """Positions `start` and following: epochs of shuffled order, without gaps."""
    chosen = []
    for position in range(start, start + count):
        epoch, offset = divmod(position, num_items)
        order = host_rng(seed, "rl items", epoch).permutation(num_items)
        chosen.append(int(order[offset]))
    return chosen
