"""Predictions rewarded for their explanations, checked against the trace of the run."""

import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterable, Sequence

from simex.nlex.truth import Truth
from simex.rollouts.rollout import Rollout
from simex.rollouts.token_text import token_span
from simex.sandbox.pool import SandboxPool
from simex.tasks.grounded import GroundingReward, score_prediction
from simex.tasks.predict_output import PredictionItem
from simex.traces.collect import TraceFailure, collect_traces
from simex.traces.trace import Trace

# None: the run cannot be told whole (too long, or the program hides from the tracer).
# TraceFailure: the fault is ours.
Whole = Trace | TraceFailure | None
ItemTruth = Truth | TraceFailure | None


def trace_items(
    items: Iterable[PredictionItem], pool: SandboxPool
) -> Generator[Whole, None, None]:
    """Each item's run; small enough to be sent to other processes, as a Truth is not."""
    traced, told = itertools.tee(items)
    runs = ((item.source, item.stdin, item.run_limits) for item in traced)
    # Traces first: some items are taken ahead, and nobody may ask for one too many.
    for found, item in zip(collect_traces(pool, runs, verify=False), told):
        if isinstance(found, TraceFailure):
            yield found if found.status is None else None
        else:
            is_whole = not found.is_truncated and found.stdout == item.stdout
            yield found if is_whole else None


def as_truth(run: Whole) -> ItemTruth:
    """What is true of a run."""
    return Truth(run) if isinstance(run, Trace) else run


def ground_rollout(
    rollout: Rollout,
    truth: ItemTruth,
    *,
    decode: Callable[[Sequence[int]], str],
    config: GroundingReward,
    scale: float,
) -> Rollout:
    """`rollout` of one prediction, rewarded for its explanation as well.

    Args:
      rollout: rewarded for its output, with the part "passed".
      truth: of its item. None leaves the reward as it is, the same for the whole group.
        After a fault of ours nobody knows the reward: the rollout is lost.
      decode: of the policy's tokenizer.
      config: the weights.
      scale: the largest reward.
    """
    if truth is None:
        return rollout
    if isinstance(truth, TraceFailure):
        notes = {**rollout.notes, "lost": truth.reason}
        return dataclasses.replace(rollout, reward=None, notes=notes)
    (turn,) = rollout.turns
    score = score_prediction(
        turn.text, truth, is_right=rollout.parts["passed"] == 1.0, config=config
    )
    if score.fault is not None:
        span = token_span(decode, turn.completion_ids, score.fault)
        turn = dataclasses.replace(turn, fault=span)
    return dataclasses.replace(
        rollout,
        turns=(turn,),
        reward=scale * score.reward,
        parts={**rollout.parts, **score.parts},
    )
