"""What every objective of RL has in common."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from simex.core.errors import UserError
from simex.rollouts.policy import Policy
from simex.rollouts.rollout import Group
from simex.sandbox.pool import SandboxPool


@runtime_checkable
class Objective(Protocol):
    """A way of asking the policy for rollouts and rewarding them.

    A further objective is one file with such a class and one line in
    `rollouts.objectives`. One that has an attribute `verifiers` gets policies of those
    stages' checkpoints as `policy.verifiers`.
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

    def load_items(self, workdir: pathlib.Path, *, split: str = "rl") -> Sequence[Any]:
        """The items that it asks about; "validation": those never trained on."""

    def collect(
        self,
        policy: Policy,
        items: Sequence[Any],
        *,
        pool: SandboxPool,
        seed_path: tuple[int, ...],
    ) -> list[Group]:
        """One group for each item."""


def split_rollouts(objectives: Sequence[Objective], num_rollouts: int) -> list[int]:
    """How many groups each objective gets in every train step.

    The method of largest remainders over groups: each objective gets the whole groups
    of its share, then the rollouts left go out a group at a time, to whom most of a
    group is owed; of equals the first. Nobody is given more than `num_rollouts`
    together. Weights are shares of rollouts, whatever the group sizes.

    Example: weights 0.85 and 0.15, groups of 8, 256 rollouts: quotas 27.2 and 4.8
    groups; 27 and 4, and the one that is left goes to the second: 27 and 5.

    Raises:
      UserError: no objective has a weight, one has a negative weight, or one that has
        a weight would get no group.
    """
    weights = [objective.weight for objective in objectives]
    if not all(weight >= 0 for weight in weights) or not sum(weights) > 0:
        raise UserError(
            "Weights of objectives must be at least 0 and one must be above 0; got "
            f"{', '.join(f'{o.name} {o.weight:g}' for o in objectives) or 'none'}."
        )
    quotas = [
        num_rollouts * weight / sum(weights) / objective.group_size
        for weight, objective in zip(weights, objectives, strict=True)
    ]
    counts = [int(quota + 1e-9) for quota in quotas]
    by_remainder = sorted(
        range(len(quotas)), key=lambda i: counts[i] - quotas[i]
    )  # stable: the first of equals
    left = num_rollouts - sum(
        count * o.group_size for count, o in zip(counts, objectives, strict=True)
    )
    for i in by_remainder:
        if quotas[i] - counts[i] > 1e-9 and objectives[i].group_size <= left:
            counts[i] += 1
            left -= objectives[i].group_size
    _refuse_empty(objectives, counts, num_rollouts)
    return counts


def _refuse_empty(
    objectives: Sequence[Objective], counts: Sequence[int], num_rollouts: int
) -> None:
    total = sum(objective.weight for objective in objectives)
    for objective, count in zip(objectives, counts, strict=True):
        if objective.weight > 0 and not count:
            enough = math.ceil(objective.group_size * total / objective.weight)
            raise UserError(
                f"Each objective with a weight must get a group in every train step; "
                f"{objective.name} with weight {objective.weight:g} of {total:g} and "
                f"groups of {objective.group_size} gets none of {num_rollouts} "
                f"rollouts. Raise rollouts_per_step to {enough}, or its weight."
            )
