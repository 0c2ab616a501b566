"""From the returns of a group to an advantage for each turn of its rollouts."""

import collections

import numpy as np

from simex.rl.advantage import compute_advantages
from simex.rollouts.rollout import Group

TurnAdvantages = tuple[tuple[float, ...], ...]  # [valid rollout][turn]


def turn_advantages(group: Group, advantage: str) -> TurnAdvantages:
    """Advantages of every turn of the group's valid rollouts, in their order.

    A turn gets its credit times its rollout's advantage, plus the advantage of its own
    reward among the own rewards that the group has for the same task. Own rewards do
    not wait for the trajectories to differ: in a flat group they still teach. What the
    policy did not sample has advantage 0.

    Example: returns 1 and -1 with `group_mean` give 1 and -1; a turn with credit 0.5 in
    the first rollout gets 0.5.
    """
    rollouts = group.valid_rollouts
    shared = np.zeros(len(rollouts))
    if not group.is_flat:
        shared = compute_advantages(
            advantage,
            np.array([r.reward for r in rollouts], np.float64),
            np.array([max(r.num_tokens, 1) for r in rollouts], np.float64),
        )
    own = _own_advantages(group, advantage)
    return tuple(
        tuple(
            float(value) * turn.credit + own.get((i, j), 0.0)
            if turn.is_trained
            else 0.0
            for j, turn in enumerate(rollout.turns)
        )
        for i, (value, rollout) in enumerate(zip(shared, rollouts, strict=True))
    )


def _own_advantages(group: Group, advantage: str) -> dict[tuple[int, int], float]:
    places = collections.defaultdict(list)
    for i, rollout in enumerate(group.valid_rollouts):
        for j, turn in enumerate(rollout.turns):
            if turn.reward is not None and turn.is_trained:
                places[turn.task].append((i, j, turn))
    values: dict[tuple[int, int], float] = {}
    for turns in places.values():
        rewards = np.array([turn.reward for _, _, turn in turns], np.float64)
        if len(set(rewards)) < 2:  # flat, or alone: nothing to compare with
            continue
        lengths = np.array([len(t.completion_ids) for _, _, t in turns], np.float64)
        found = compute_advantages(advantage, rewards, lengths)
        values |= {(i, j): float(v) for (i, j, _), v in zip(turns, found, strict=True)}
    return values
