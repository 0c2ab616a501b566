"""From the returns of a group to an advantage for each turn of its rollouts.

A turn may carry a `credit`, its part of the rollout's advantage (1 where it says
nothing), and a `reward` of its own, such as that of a prediction inside a trajectory.
"""

import collections
from collections.abc import Sequence

import numpy as np

from simex.rl.advantage import Spread, compute_advantages
from simex.rollouts.rollout import Group

TurnAdvantages = tuple[tuple[float, ...], ...]  # [valid rollout][turn]


def turn_advantages(
    group: Group,
    advantage: str,
    *,
    spread: Spread = Spread(),
    returns: Sequence[float] | None = None,
) -> TurnAdvantages:
    """Advantages of every turn of the group's valid rollouts, in their order.

    A turn gets its credit times its rollout's advantage, plus the advantage of its own
    reward among the own rewards that the group has for the same task. Own rewards do
    not wait for the trajectories to differ: in a flat group that is kept they still
    teach. What the policy did not sample has advantage 0.

    Args:
      group: of one item.
      advantage: a name in rl.advantage.ADVANTAGES.
      spread: of "mean_std".
      returns: of the valid rollouts; None takes their rewards.

    Example: returns 1 and -1 with `group_mean` give 1 and -1; a turn with credit 0.5 in
    the first rollout gets 0.5.
    """
    rollouts = group.valid_rollouts
    if returns is None:
        returns = [float(r.reward or 0.0) for r in rollouts]
    lengths = [max(r.num_tokens, 1) for r in rollouts]
    shared = _advantages(advantage, returns, lengths, spread)
    own = _own_advantages(group, advantage, spread)
    return tuple(
        tuple(
            value * turn.credit + own.get((i, j), 0.0) if turn.is_trained else 0.0
            for j, turn in enumerate(rollout.turns)
        )
        for i, (value, rollout) in enumerate(zip(shared, rollouts, strict=True))
    )


def _own_advantages(
    group: Group, advantage: str, spread: Spread
) -> dict[tuple[int, int], float]:
    places = collections.defaultdict(list)
    for i, rollout in enumerate(group.valid_rollouts):
        for j, turn in enumerate(rollout.turns):
            if turn.reward is not None and turn.is_trained:
                places[turn.task].append((i, j, float(turn.reward), turn))
    values: dict[tuple[int, int], float] = {}
    for found in places.values():
        rewards = [reward for _, _, reward, _ in found]
        lengths = [len(turn.completion_ids) for _, _, _, turn in found]
        advantages = _advantages(advantage, rewards, lengths, spread)
        values |= {
            (i, j): value for (i, j, _, _), value in zip(found, advantages, strict=True)
        }
    return values


def _advantages(
    name: str, returns: Sequence[float], lengths: Sequence[int], spread: Spread
) -> list[float]:
    """0 where nothing differs, or where there is nothing to compare with.

    That is not left to arithmetic: the mean of equal numbers may differ from them in
    the last bit, which a division by the standard deviation makes large.
    """
    if len(set(returns)) < 2:
        return [0.0] * len(returns)
    advantages_G = compute_advantages(
        name,
        np.array(returns, np.float64),
        np.array(lengths, np.float64),
        spread=spread,
    )
    return [float(value) for value in advantages_G]
