"""Which rollouts of a train step are trained on, with what advantage and weight."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from simex.rl.algorithm import Algorithm
from simex.rl.reduction import REDUCTIONS
from simex.rl.segment_credit import SEGMENT_CREDITS
from simex.rl.turn_advantage import TurnAdvantages, turn_advantages
from simex.rollouts.rollout import Group, Rollout


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
    """One rollout of the loss."""

    rollout: Rollout
    advantages: tuple[float, ...]  # of each turn
    weight: float  # of each of its sampled tokens, from the reduction
    segment_credit: str = "whole"  # in rl.segment_credit.SEGMENT_CREDITS

    @property
    def token_advantages(self) -> tuple[np.ndarray, ...]:
        """For each turn, float64: one for each of its completion ids."""
        spread = SEGMENT_CREDITS[self.segment_credit]
        return tuple(
            spread(advantage, len(turn.completion_ids), turn.fault)
            for turn, advantage in zip(self.rollout.turns, self.advantages, strict=True)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """What a train step learns from, and what it leaves out."""

    chosen: tuple[Chosen, ...]
    denominator: float  # of the sum of token losses; 0 when nothing counts
    num_counted: int  # rollouts in the denominator, those of advantage 0 among them
    num_lost: int  # rollouts without a reward, by a fault of ours
    num_overlong: int  # masked for being truncated
    num_gibberish: int  # masked for a token that was hardly likely
    num_groups_dropped: int  # for their raw pass rate
    share_of_unsolved: float
    """Share of Σ weight·|advantage| that comes from groups with a raw pass rate below
    a half; the rest comes from those that are mostly solved."""

    net_push: float
    """Σ weight·advantage / Σ weight·|advantage|, from -1 (all down) to 1 (all up)."""


def select(
    groups: Sequence[Group],
    *,
    algorithm: Algorithm,
    is_rare_V: np.ndarray | None = None,
) -> Selection:
    """Advantages within groups, then masks, then weights over all that counts.

    A rollout that is masked stays in the baseline of its group, but is left out of the
    loss and of its denominator alike.

    Args:
      groups: of a train step.
      algorithm: the choices.
      is_rare_V: from `find_rare_ids`; read where gibberish is masked.
    """
    if algorithm.gibberish == "mask" and is_rare_V is None:
        raise ValueError("To mask gibberish, select needs is_rare_V.")
    dropped = [g for g in groups if algorithm.flat_groups != "keep" and is_flat(g)]
    counted: list[_Weighed] = []
    masked = {"overlong": 0, "gibberish": 0}
    for group in groups:
        if any(group is other for other in dropped):
            continue
        for one in _weigh(group, algorithm):
            reason = why_masked(one.rollout, algorithm, is_rare_V)
            if reason is None:
                counted.append(one)
            else:
                masked[reason] += 1
    lengths_R = np.array([float(one.rollout.num_tokens) for one in counted], np.float64)
    weights_R, denominator = REDUCTIONS[algorithm.reduction](
        lengths_R, algorithm.normaliser_tokens
    )
    weights = [float(weight) for weight in weights_R]
    trains_all = algorithm.has_reference or algorithm.entropy_weight > 0
    weighted = [
        Chosen(
            rollout=one.rollout,
            advantages=one.advantages,
            weight=weight,
            segment_credit=algorithm.segment_credit,
        )
        for one, weight in zip(counted, weights, strict=True)
    ]
    pass_rates = [one.pass_rate for one in counted]
    share_of_unsolved, net_push = _measure_push(weighted, pass_rates)
    return Selection(
        chosen=tuple(one for one in weighted if any(one.advantages) or trains_all),
        denominator=float(denominator),
        num_counted=len(counted),
        num_lost=sum(len(g.rollouts) - len(g.valid_rollouts) for g in groups),
        num_overlong=masked["overlong"],
        num_gibberish=masked["gibberish"],
        num_groups_dropped=len(dropped),
        share_of_unsolved=share_of_unsolved,
        net_push=net_push,
    )


def pass_rate(group: Group) -> float:
    """Share of valid rollouts that passed, whatever their rewards are; 0 for none.

    Where an objective has no part "passed", a reward above 0 counts as one.
    """
    passed = [
        float(r.parts.get("passed", float((r.reward or 0.0) > 0)))
        for r in group.valid_rollouts
    ]
    return sum(passed) / len(passed) if passed else 0.0


def is_flat(group: Group) -> bool:
    """The raw pass rate is 0 or 1, or fewer than two rollouts are valid.

    Raw: a penalty of length makes the rewards of a hopeless group unequal, which says
    nothing of how to pass.
    """
    return len(group.valid_rollouts) < 2 or pass_rate(group) in (0.0, 1.0)


def is_truncated(rollout: Rollout) -> bool:
    """Its last turn did not end by itself."""
    return bool(rollout.turns) and rollout.turns[-1].is_truncated


def why_masked(
    rollout: Rollout, algorithm: Algorithm, is_rare_V: np.ndarray | None
) -> str | None:
    """ "overlong", "gibberish", or None for a rollout that counts."""
    if algorithm.overlong == "mask" and is_truncated(rollout):
        return "overlong"
    if algorithm.gibberish == "mask":
        assert is_rare_V is not None  # `select` refuses that
        if is_gibberish(rollout, algorithm, is_rare_V):
            return "gibberish"
    return None


def is_gibberish(rollout: Rollout, algorithm: Algorithm, is_rare_V: np.ndarray) -> bool:
    """It holds a rare token that was less likely than a token drawn blindly.

    Unlikely is a logprob below -log(V) - 2 (CWM, arXiv 2510.02387).
    """
    least = -math.log(len(is_rare_V)) - algorithm.gibberish_margin_nats
    for turn in rollout.turns:
        is_rare = is_rare_V[np.asarray(turn.completion_ids, np.int64)]
        if turn.is_trained and (is_rare & (turn.sampler_logprobs < least)).any():
            return True
    return False


def overlong_penalty(num_tokens: int, algorithm: Algorithm) -> float:
    """From 0 to 1: DAPO's soft overlong punishment (arXiv 2503.14476, equation 13).

    With a maximum of 100 and a buffer of 20 tokens: 80 tokens cost 0, 90 cost 0.5, 100
    and more cost 1.
    """
    buffer = algorithm.overlong_buffer_tokens
    over = num_tokens - (algorithm.overlong_max_tokens - buffer)
    return min(max(over / buffer, 0.0), 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Weighed:
    rollout: Rollout
    advantages: tuple[float, ...]
    pass_rate: float  # of its group


def group_advantages(group: Group, algorithm: Algorithm) -> TurnAdvantages:
    """Advantages of every turn of the group's valid rollouts, in their order."""
    return turn_advantages(
        group,
        algorithm.advantage,
        spread=algorithm.spread,
        returns=[_return(rollout, algorithm) for rollout in group.valid_rollouts],
    )


def _weigh(group: Group, algorithm: Algorithm) -> Iterator[_Weighed]:
    found = group_advantages(group, algorithm)
    rate = pass_rate(group)
    for rollout, advantages in zip(group.valid_rollouts, found, strict=True):
        yield _Weighed(rollout=rollout, advantages=advantages, pass_rate=rate)


def _return(rollout: Rollout, algorithm: Algorithm) -> float:
    value = float(rollout.reward or 0.0)
    if algorithm.overlong != "shape":
        return value
    lengths = [len(turn.completion_ids) for turn in rollout.turns if turn.is_trained]
    longest = max(lengths, default=0)
    return value - overlong_penalty(longest, algorithm)


def _measure_push(
    weighted: Sequence[Chosen], pass_rates: Sequence[float]
) -> tuple[float, float]:
    """(share_of_unsolved, net_push) of a Selection; 0 and 0 without a signal."""
    net = total = unsolved = 0.0
    for one, rate in zip(weighted, pass_rates, strict=True):
        for advantages in one.token_advantages:
            push = one.weight * float(np.abs(advantages).sum())
            net += one.weight * float(advantages.sum())
            total += push
            unsolved += push * (rate < 0.5)
    return (unsolved / total, net / total) if total else (0.0, 0.0)
