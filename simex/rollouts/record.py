"""Rollouts as JSON records, for the viewer and for people. Their size is bounded."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simex.rollouts.program import clipped
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.rollouts.token_text import token_texts

# Of one turn: as many ids from its beginning as from its end, and characters of text.
MAX_IDS = 2048
MAX_CHARS = 20_000

Decode = Callable[[Sequence[int]], str]
TrainerLogprobs = Callable[[Turn], np.ndarray | None]


def to_record(
    group: Group,
    *,
    decode: Decode | None = None,
    advantages: Sequence[Sequence[float]] | None = None,
    trainer_logprobs: TrainerLogprobs | None = None,
) -> dict[str, Any]:
    """A JSON-ready dict with every turn's text, ids and logprobs.

    Args:
      group: to record.
      decode: of the tokenizer; without it tokens have no texts.
      advantages: of each turn of each valid rollout, as `rl.turn_advantage` gives them.
      trainer_logprobs: a turn -> what the trainer's forward says of its completion ids,
        or None where it was not asked.
    """
    given = iter(advantages or ())
    return {
        "objective": group.objective,
        "item_id": group.item_id,
        "rollouts": [
            _record_rollout(
                rollout,
                next(given, ()) if rollout.reward is not None else (),
                decode=decode,
                trainer_logprobs=trainer_logprobs,
            )
            for rollout in group.rollouts
        ],
    }


def _record_rollout(
    rollout: Rollout,
    advantages: Sequence[float],
    *,
    decode: Decode | None,
    trainer_logprobs: TrainerLogprobs | None,
) -> dict[str, Any]:
    padded = [*advantages, *[None] * len(rollout.turns)]
    return {
        "reward": rollout.reward,
        "parts": dict(rollout.parts),
        "notes": {
            name: clipped(note, MAX_CHARS) for name, note in rollout.notes.items()
        },
        "end": rollout.end.value,
        "refusals": list(rollout.refusals),
        "programs": [dataclasses.asdict(program) for program in rollout.programs],
        "turns": [
            _record_turn(
                turn,
                advantage,
                decode=decode,
                trained=None if trainer_logprobs is None else trainer_logprobs(turn),
            )
            for turn, advantage in zip(rollout.turns, padded, strict=False)
        ],
    }


def _record_turn(
    turn: Turn,
    advantage: float | None,
    *,
    decode: Decode | None,
    trained: np.ndarray | None,
) -> dict[str, Any]:
    ids = _bounded(turn.completion_ids)
    record = {
        "task": turn.task,
        "author": turn.author,
        "policy_version": turn.policy_version,
        "stop": turn.stop.value,
        "is_trained": turn.is_trained,
        "credit": turn.credit,
        "reward": turn.reward,
        "fault": turn.fault,
        "advantage": None if advantage is None else round(advantage, 6),
        "num_tokens": len(turn.completion_ids),
        "num_left_out": len(turn.completion_ids) - len(ids),
        "prompt": clipped(turn.prompt, MAX_CHARS),
        "text": clipped(turn.text, MAX_CHARS),
        "prompt_ids": _bounded(turn.prompt_ids),
        "completion_ids": ids,
        "logprobs": _rounded(turn.sampler_logprobs),
    }
    if decode is not None:
        record["tokens"] = token_texts(decode, ids)
    if trained is not None:
        record["trainer_logprobs"] = _rounded(trained)
    return record


def _bounded(values: Sequence) -> list:
    if len(values) <= MAX_IDS:
        return list(values)
    half = MAX_IDS // 2
    return [*values[:half], *values[-half:]]


def _rounded(values: np.ndarray) -> list[float]:
    return [round(x, 5) for x in _bounded([float(v) for v in values])]
