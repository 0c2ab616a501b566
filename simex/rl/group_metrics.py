"""What the groups of a train step say: rewards, flat groups, lengths, stops."""

from collections.abc import Iterable, Sequence

import numpy as np

from simex.rl.selection import is_flat, pass_rate
from simex.rollouts.rollout import Group, Rollout, has_passed
from simex.sampling.samples import Stop


def measure_groups(groups: Sequence[Group]) -> dict[str, float]:
    """Plain numbers by name; names begin with the objective, as `metric_table` has it.

    Flat groups are split into those where every rollout failed (too hard) and those
    where every one passed (too easy), by the raw pass rate.
    """
    values: dict[str, float] = {}
    for name in dict.fromkeys(group.objective for group in groups):
        own = [group for group in groups if group.objective == name]
        values |= {f"{name}/{key}": v for key, v in _measure_objective(own).items()}
    return values


def _measure_objective(groups: Sequence[Group]) -> dict[str, float]:
    rollouts = [r for group in groups for r in group.valid_rollouts]
    asked = sum(len(group.rollouts) for group in groups)
    flat = [group for group in groups if is_flat(group) and group.valid_rollouts]
    failed = [group for group in flat if pass_rate(group) < 0.5]
    passed = [r for r in rollouts if has_passed(r)]
    wrong = [r for r in rollouts if not has_passed(r)]
    rewards = [float(r.reward) for r in rollouts if r.reward is not None]
    return {
        "reward": _mean(rewards),
        "reward_std": float(np.std(rewards)) if rewards else 0.0,
        "passed": len(passed) / max(len(rollouts), 1),
        "refused": _mean(r.parts.get("refused", 0.0) for r in rollouts),
        "flat_all_failed": len(failed) / max(len(groups), 1),
        "flat_all_passed": (len(flat) - len(failed)) / max(len(groups), 1),
        "tokens_when_passed": _mean(r.num_tokens for r in passed),
        "tokens_when_failed": _mean(r.num_tokens for r in wrong),
        "turns": _mean(len(r.turns) for r in rollouts),
        "lost_to_infra": 1 - len(rollouts) / max(asked, 1),
        **_measure_turns(rollouts),
        **_measure_parts(rollouts),
    }


def _measure_turns(rollouts: Sequence[Rollout]) -> dict[str, float]:
    turns = [turn for rollout in rollouts for turn in rollout.turns]
    return {
        "truncated": _mean(float(turn.is_truncated) for turn in turns),
        **{
            f"stop/{stop.value}": _mean(float(turn.stop is stop) for turn in turns)
            for stop in Stop
        },
    }


def _measure_parts(rollouts: Sequence[Rollout]) -> dict[str, float]:
    names = dict.fromkeys(name for rollout in rollouts for name in rollout.parts)
    return {
        f"part/{name}": _mean(r.parts[name] for r in rollouts if name in r.parts)
        for name in names
    }


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
