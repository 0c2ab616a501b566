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
ItemTruth = Truth | TraceFailure | None


def trace_items(
    items: Iterable[PredictionItem], pool: SandboxPool
) -> Generator[ItemTruth, None, None]:
    """What is true of each item's run; a TraceFailure only where the fault is ours."""
    for limits, alike in itertools.groupby(items, key=lambda item: item.run_limits):
        traced, told = itertools.tee(alike)
        runs = ((item.source, item.stdin) for item in traced)
        traces = collect_traces(pool, runs, limits=limits, verify=False)
        # Traces first: some items are taken ahead, and nobody may ask for one too many.
        for found, item in zip(traces, told):
            yield _as_truth(found, item)


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


def _as_truth(found: Trace | TraceFailure, item: PredictionItem) -> ItemTruth:
    if isinstance(found, TraceFailure):
        return found if found.status is None else None
    is_whole = not found.is_truncated and found.stdout == item.stdout
    return Truth(found) if is_whole else None
