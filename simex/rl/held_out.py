"""Rewards on items that are never trained on, while a policy is trained.

Of all objectives together and of each: ``validation/reward``, ``validation/passed``,
``validation/tokens`` (sampled, a rollout) and ``validation/lost_to_infra``. Every
evaluation asks about the same items with the same random numbers, so that two of them
differ by the params alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.metrics import mean_values
from simex.core.prng import host_rng
from simex.rl.saved_run import Progress
from simex.rl.watchdog import Watchdog
from simex.rollouts.objective import Objective
from simex.rollouts.policy import Policy
from simex.rollouts.rollout import Group, has_passed
from simex.sampling.methods import SamplingMethod
from simex.train.best import PREFIX

RANKING = ("reward", "passed")  # the larger, the better
FIGURES = (*RANKING, "tokens", "lost_to_infra")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutItems:
    """Items by objective, and how they are asked about."""

    objectives: Sequence[tuple[Objective, Sequence[Any]]]
    steps_between: int  # train steps; and after the last
    method: SamplingMethod
    seed: int

    @staticmethod
    def of(
        found: Sequence[tuple[Objective, Sequence[Any], Sequence[Any]]],
        *,
        steps_between: int,
        max_items: int,
        samples: int,
        temperature: float,
        seed: int,
    ) -> "HeldOutItems":
        """From objectives, each with the items of training and those held out.

        Raises:
          UserError: a group of items is on both sides, or an objective has none held
            out.
        """
        for objective, trained, held in found:
            _refuse_shared(objective.name, trained, held)
        return HeldOutItems(
            objectives=[
                (with_group_size(objective, samples), list(held)[:max_items])
                for objective, _, held in found
                if objective.weight > 0
            ],
            steps_between=steps_between,
            method=SamplingMethod(temperature=temperature),
            seed=seed,
        )

    @property
    def metrics(self) -> list[str]:
        """The names of all that is measured."""
        return self._names(FIGURES)

    @property
    def ranking_metrics(self) -> list[str]:
        """The names of those by which a train step can be the best."""
        return self._names(RANKING)

    def _names(self, figures: Sequence[str]) -> list[str]:
        places = ["", *(f"{objective.name}/" for objective, _ in self.objectives)]
        return [f"{PREFIX}{place}{name}" for place in places for name in figures]

    def is_due(self, done: int, last: int) -> bool:
        """Whether to measure after `done` of `last` train steps."""
        return done % self.steps_between == 0 or done == last

    def measure(self, policy: Policy, pool: Any) -> dict[str, tuple[float, float]]:
        """name -> (total, weight), as the policy is now."""
        asking = dataclasses.replace(policy, method=self.method)
        # Of another stream than any batch of training.
        stream = int(host_rng(self.seed, "rl validation").integers(2**31))
        groups = [
            group
            for number, (objective, items) in enumerate(self.objectives)
            for group in objective.collect(
                asking, items, pool=pool, seed_path=(stream, number)
            )
        ]
        return summarise(groups)


def with_group_size(objective: Objective, samples: int) -> Objective:
    """The objective, asking so often about each item."""
    changed: Any = objective
    return dataclasses.replace(changed, group_size=samples)


def summarise(groups: Sequence[Group]) -> dict[str, tuple[float, float]]:
    """The figures; what was lost to faults of ours counts in `lost_to_infra` alone."""
    metrics: dict[str, tuple[float, float]] = {}
    for place in ["", *dict.fromkeys(group.objective for group in groups)]:
        own = [group for group in groups if place in ("", group.objective)]
        rollouts = [r for group in own for r in group.valid_rollouts]
        asked = sum(len(group.rollouts) for group in own)
        totals = {
            "reward": sum(float(r.reward) for r in rollouts if r.reward is not None),
            "passed": sum(has_passed(r) for r in rollouts),
            "tokens": sum(r.num_tokens for r in rollouts),
        }
        prefix = f"{PREFIX}{place}/" if place else PREFIX
        if rollouts:
            for name, total in totals.items():
                metrics[prefix + name] = (float(total), float(len(rollouts)))
        lost = asked - len(rollouts)
        metrics[f"{prefix}lost_to_infra"] = (float(lost), float(asked))
    return metrics


def validate(
    held_out: HeldOutItems,
    policy: Policy,
    done: Progress,
    pool: Any,
    *,
    watchdog: Watchdog,
) -> dict[str, float]:
    """Figures of what is never trained on; the policy's sampler takes its turns itself."""
    now = dataclasses.replace(policy, params=done.state.params, version=done.step)
    with watchdog.awaiting(f"the validation after train step {done.step - 1}"):
        return mean_values(held_out.measure(now, pool))


def rankable(
    measured: Mapping[str, float], *, max_lost_share: float
) -> dict[str, float]:
    """Of an evaluation, what a train step may be ranked by.

    Not the figures of rollouts of which more than the share were lost to faults of
    ours: those that are left are other ones, often the short and easy.
    """
    return {
        name: value
        for name, value in measured.items()
        if measured[f"{name.rpartition('/')[0]}/lost_to_infra"] <= max_lost_share
    }


def _refuse_shared(name: str, trained: Sequence[Any], held: Sequence[Any]) -> None:
    groups = set(map(_group_of, trained))
    shared = sorted(group for group in map(_group_of, held) if group in groups)
    if shared:
        raise UserError(
            f"Held-out items of the objective {name} must not be trained on, nor others "
            f"of their group; {len(shared)} are, of the group {shared[0]!r} among them. "
            "Split the problems by group, which is their composition."
        )
    if not held:
        raise UserError(
            f"The objective {name} must have held-out items to be validated; it has "
            "none. Make validation problems, or train without validation."
        )


def _group_of(item: Any) -> str:
    """Of a program to be predicted its group, of a problem its composition."""
    return str(getattr(item, "group", getattr(item, "composition", item)))
