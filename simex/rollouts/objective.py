"""What every objective of RL has in common."""

import pathlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from simex.rollouts.policy import Policy
from simex.rollouts.rollout import Group
from simex.sandbox.pool import SandboxPool


@runtime_checkable
class Objective(Protocol):
    """A way of asking the policy for rollouts and rewarding them.

    A third objective is one file with such a class and one line in an experiment.
    """

    @property
    def name(self) -> str:
        """Names the objective in metrics and records."""

    @property
    def weight(self) -> float:
        """Its share of the rollouts of a train step."""

    @property
    def group_size(self) -> int:
        """Rollouts of one item."""

    def load_items(self, workdir: pathlib.Path) -> Sequence[Any]:
        """The items that it asks about."""

    def collect(
        self,
        policy: Policy,
        items: Sequence[Any],
        *,
        pool: SandboxPool,
        seed_path: tuple[int, ...],
    ) -> list[Group]:
        """One group for each item."""
