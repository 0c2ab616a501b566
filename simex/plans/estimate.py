"""From the times of programs to those of a train step: tokens and rollouts a second."""

import dataclasses
import math
from collections.abc import Callable, Mapping

from simex.core.errors import UserError
from simex.plans.flops import model_work, num_decode_groups
from simex.plans.generations import Generation
from simex.plans.programs import (
    APPLY,
    DECODE,
    GRADIENTS,
    LOGPROBS,
    PREFILL,
    SFT_UPDATE,
)
from simex.plans.roofline import Times, mfu
from simex.plans.stage import RlStage, SftStage, Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A train step, as (with exchanges in turn, with exchanges wholly hidden)."""

    stage: str
    step_secs: tuple[float, float]
    sample_secs: tuple[float, float]  # of it; 0 for supervised training
    trained_tokens_per_sec: tuple[float, float]
    rollouts_per_sec: tuple[float, float] | None
    mfu: tuple[float, float]  # of the updates alone
    assumes: str


def estimate_stage(
    stage: Stage,
    times: Mapping[str, Times],
    *,
    chip: Generation,
    num_devices: int,
    completion_tokens: int | None,
    prompt_tokens: int = 0,
) -> Estimate:
    """The estimate of one stage from the times of all its programs.

    Args:
      stage: of the experiment.
      times: of its programs, by name.
      chip: of the devices.
      num_devices: how many.
      completion_tokens: the mean length of a completion; None: its limit.
      prompt_tokens: the mean length of a prompt, which stands in the rows of an update
        before every completion; 0: rows are taken to hold completions alone.

    Raises UserError for completions without a token.
    """
    if completion_tokens is not None and completion_tokens < 1:
        raise UserError(
            f"--completion-tokens must be at least 1; got {completion_tokens}."
        )
    if isinstance(stage, SftStage):
        return _estimate_sft(stage, times[SFT_UPDATE], chip, num_devices)
    return _estimate_rl(
        stage,
        times,
        chip,
        num_devices,
        completion_tokens or stage.max_new_tokens,
        prompt_tokens,
    )


def _estimate_sft(
    stage: SftStage, times: Times, chip: Generation, num_devices: int
) -> Estimate:
    work = model_work(stage, SFT_UPDATE, num_devices)
    secs = (times.in_turn, times.overlapped)
    return Estimate(
        stage=stage.name,
        step_secs=secs,
        sample_secs=(0.0, 0.0),
        trained_tokens_per_sec=_each(lambda s: work.tokens / s, secs),
        rollouts_per_sec=None,
        mfu=_each(lambda s: mfu(work.flops, s, chip, num_devices), secs),
        assumes="full rows",
    )


def _estimate_rl(
    stage: RlStage,
    times: Mapping[str, Times],
    chip: Generation,
    num_devices: int,
    completion_tokens: int,
    prompt_tokens: int,
) -> Estimate:
    """Sampling and updating take turns on the same devices, so their times add up."""
    rollouts, sizes = stage.rollouts_per_step, stage.sampler
    chunks = math.ceil(
        rollouts * completion_tokens / (sizes.num_slots * sizes.chunk_steps)
    )
    rows = rollouts * (prompt_tokens + completion_tokens) / stage.seq_len
    calls = math.ceil(rows / stage.rows)
    # Groups share the prefill of their prompt.
    groups = num_decode_groups(stage, num_devices)
    prompt_rows = stage.prompts_per_step / (sizes.prefill_rows * groups)
    # Once to look at the gap, and of the reference for every micro-batch.
    looks = 1 + (calls if stage.algorithm.has_reference else 0)
    sample = _sum(
        times,
        {DECODE: chunks, PREFILL: max(1, math.ceil(prompt_rows)), LOGPROBS: looks},
    )
    update = _sum(times, {GRADIENTS: calls, APPLY: 1})
    step = (sample[0] + update[0], sample[1] + update[1])
    tokens = rollouts * completion_tokens
    work = model_work(stage, GRADIENTS, num_devices)
    prompts = (
        f"after prompts of {prompt_tokens}"
        if prompt_tokens
        else "whose prompts take no room in the rows of an update (see --prompt-tokens)"
    )
    return Estimate(
        stage=stage.name,
        step_secs=step,
        sample_secs=sample,
        trained_tokens_per_sec=_each(lambda s: tokens / s, step),
        rollouts_per_sec=_each(lambda s: rollouts / s, step),
        mfu=_each(lambda s: mfu(work.flops * calls, s, chip, num_devices), update),
        assumes=(
            f"{rollouts} completions of {completion_tokens} tokens, {prompts}, every "
            "slot busy and reading the whole cache; examples of replay do not count"
        ),
    )


def _sum(times: Mapping[str, Times], calls: Mapping[str, int]) -> tuple[float, float]:
    pairs = [(n, times[name]) for name, n in calls.items()]
    return (
        sum(n * one.in_turn for n, one in pairs),
        sum(n * one.overlapped for n, one in pairs),
    )


def _each(
    f: Callable[[float], float], pair: tuple[float, float]
) -> tuple[float, float]:
    return f(pair[0]), f(pair[1])
