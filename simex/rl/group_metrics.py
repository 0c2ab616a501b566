"""What the groups of a train step say: rewards, flat groups, lengths, stops."""

from collections.abc import Iterable, Sequence

import numpy as np

from simex.rollouts.rollout import Group, Rollout


def measure_groups(groups: Sequence[Group]) -> dict[str, float]:
    """Plain numbers by name; names begin with the objective.

    Flat groups are split into those where every rollout failed (too hard) and those
    where every one passed (too easy).
    """
    values: dict[str, float] = {}
    for name in dict.fromkeys(group.objective for group in groups):
        own = [group for group in groups if group.objective == name]
        values |= {f"{name}/{key}": v for key, v in _measure_objective(own).items()}
    return values


def _measure_objective(groups: Sequence[Group]) -> dict[str, float]:
    rollouts = [r for group in groups for r in group.valid_rollouts]
    asked = sum(len(group.rollouts) for group in groups)
    flat = [group for group in groups if group.is_flat]
    failed = [g for g in flat if not _mean(_parts(g.valid_rollouts, "passed"))]
    passed = [r for r in rollouts if r.parts["passed"]]
    wrong = [r for r in rollouts if not r.parts["passed"]]
    turns = [turn for r in rollouts for turn in r.turns]
    rewards = [float(r.reward) for r in rollouts if r.reward is not None]
    return {
        "reward": _mean(rewards),
        "reward_std": float(np.std(rewards)) if rewards else 0.0,
        "passed": _mean(_parts(rollouts, "passed")),
        "refused": _mean(_parts(rollouts, "refused")),
        "flat_all_failed": len(failed) / max(len(groups), 1),
        "flat_all_passed": (len(flat) - len(failed)) / max(len(groups), 1),
        "tokens_when_passed": _mean(r.num_tokens for r in passed),
        "tokens_when_failed": _mean(r.num_tokens for r in wrong),
        "truncated": _mean(float(turn.is_truncated) for turn in turns),
        "turns": _mean(len(r.turns) for r in rollouts),
        "lost_to_infra": 1 - len(rollouts) / max(asked, 1),
    }


def _parts(rollouts: Iterable[Rollout], name: str) -> list[float]:
    return [rollout.parts[name] for rollout in rollouts]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
