"""Which items are asked about: those that the policy half masters teach most.

A group of G rollouts with pass rate p has mixed rewards with probability
1 - p^G - (1 - p)^G, which is largest at p = 1/2. Items are drawn by how near their last
known pass rate is to a target; what was never asked about counts as being there.
(Adaptive curricula for RL with verifiable rewards: e.g. arXiv 2504.05520.)
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from simex.core.errors import UserError

Rates = Mapping[str, float]  # item number, as JSON has keys -> pass rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curriculum:
    """How items are drawn; every item keeps a chance."""

    target_pass_rate: float = 0.5
    least_weight: float = 0.05
    """Of an item as far from the target as can be; one at the target has weight 1."""

    memory: float = 0.5  # share of the old estimate when an item is met again

    def __post_init__(self) -> None:
        """Raises UserError for a number outside its range."""
        is_sound = (
            0 < self.target_pass_rate < 1
            and 0 < self.least_weight <= 1
            and 0 <= self.memory < 1
        )
        if not is_sound:
            raise UserError(
                "A Curriculum needs 0 < target_pass_rate < 1, 0 < least_weight <= 1 "
                f"and 0 <= memory < 1; got {self.target_pass_rate:g}, "
                f"{self.least_weight:g} and {self.memory:g}."
            )

    def weight(self, pass_rate: float) -> float:
        """From `least_weight` to 1, falling in a straight line on both sides.

        With target 0.5 and least weight 0.1: 0.5 gives 1, 0.75 gives 0.55, 1 gives 0.1.
        """
        target = self.target_pass_rate
        side = 1 - target if pass_rate > target else target
        return 1 - (1 - self.least_weight) * abs(pass_rate - target) / side

    def choose(
        self, rates: Rates, num_items: int, count: int, *, rng: np.random.Generator
    ) -> list[int]:
        """Item numbers, each at most once while there are enough items."""
        weights = np.array(
            [
                self.weight(rates.get(str(i), self.target_pass_rate))
                for i in range(num_items)
            ]
        )
        chosen: list[int] = []
        while len(chosen) < count:
            size = min(count - len(chosen), num_items)
            chosen += rng.choice(
                num_items, size, replace=False, p=weights / weights.sum()
            ).tolist()
        return chosen

    def remember(
        self, rates: Rates, items: Sequence[int], pass_rates: Sequence[float]
    ) -> dict[str, float]:
        """The estimates after these items were asked about."""
        known = dict(rates)
        for item, rate in zip(items, pass_rates, strict=True):
            old = known.get(str(item), rate)
            known[str(item)] = self.memory * old + (1 - self.memory) * rate
        return known
