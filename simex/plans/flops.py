"""What a program must compute, by the model's own formula.

Attention is counted causally: a token of a packed row of T positions sees T/2 of them on
average, or its window. Kernels skip what is masked, so this is also what they compute;
that segments within a row see less of each other is not taken off.
"""

import dataclasses
import math

from simex.models.config import ModelConfig
from simex.plans.programs import (
    APPLY,
    DECODE,
    GRADIENTS,
    LOGPROBS,
    PREFILL,
)
from simex.plans.stage import RlStage, SftStage, Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelWork:
    """Of one call on all devices."""

    tokens: int  # that go through the model
    flops: float  # that the mathematics needs: forward, and twice that for gradients
    attention_flops: float  # what kernels compute: forward, again, and backward


def model_work(stage: Stage, program: str, num_devices: int) -> ModelWork:
    """The work of one call of `program`.

    Args:
      stage: of the program.
      program: a name of plans.programs.
      num_devices: each prefills rows of its own.
    """
    model = stage.model
    if program == APPLY:
        return ModelWork(tokens=0, flops=0.0, attention_flops=0.0)
    if isinstance(stage, SftStage) or program in (GRADIENTS, LOGPROBS):
        rows = stage.batch_rows if isinstance(stage, SftStage) else stage.rows
        return _rows(model, rows, stage.seq_len, trains=program != LOGPROBS)
    if program == PREFILL:
        sizes = stage.sampler
        rows = sizes.prefill_rows * num_decode_groups(stage, num_devices)
        work = _rows(model, rows, sizes.max_prompt_len, trains=False)
        # No logits: only keys and values are kept.
        head = 2 * model.vocab_size * model.d_model * work.tokens
        return dataclasses.replace(work, flops=work.flops - head)
    if program == DECODE:
        return _decode(stage)
    raise ValueError(program)


def num_decode_groups(stage: RlStage, num_devices: int) -> int:
    """Groups of devices that decode rows of their own: those along `tensor` share."""
    if stage.sampler.tensor is not None:
        return num_devices // stage.sampler.tensor
    sizes = dataclasses.asdict(stage.mesh)
    tensor = sizes.pop("tensor")
    if tensor > 0:
        return num_devices // tensor
    return math.prod(sizes.values())


def attention_flops_per_token(model: ModelConfig, row_len: int) -> float:
    """Forward FLOPs of scores and sums of values of one token of a full row."""
    return _causal(model, row_len) - model.matmul_flops_per_token(0)


def _causal(model: ModelConfig, row_len: int) -> float:
    """Forward FLOPs of the mean token of a row: linear in what is seen."""
    width = 2 * model.num_query_heads * model.head_dim
    seen = 0.0
    for layer in range(model.num_layers):
        window = min(model.window_of(layer) or row_len, row_len)
        # The first `window` positions see 1, 2, ... window; all others a full window.
        ramp = window * (window + 1) / 2
        seen += (ramp + (row_len - window) * window) / row_len
    return model.matmul_flops_per_token(0) + 2 * width * seen


def _rows(model: ModelConfig, rows: int, row_len: int, *, trains: bool) -> ModelWork:
    tokens = rows * row_len
    forward = _causal(model, row_len)
    # Where the forward pass of a flash kernel multiplies twice, the two kernels of the
    # backward pass do so 3 and 4 times; with rematerialisation it runs once more.
    again = 0 if model.remat == "none" else 1
    passes = 1 + again + 3.5 if trains else 1
    return ModelWork(
        tokens=tokens,
        flops=tokens * forward * (3 if trains else 1),
        attention_flops=tokens * attention_flops_per_token(model, row_len) * passes,
    )


def _decode(stage: RlStage) -> ModelWork:
    """A chunk of every slot, each reading half of the longest row: what it is on
    average while rows grow to their full length."""
    sizes, model = stage.sampler, stage.model
    tokens = sizes.num_slots * sizes.chunk_steps
    flops = model.matmul_flops_per_token(model.max_positions // 2)
    return ModelWork(tokens=tokens, flops=tokens * flops, attention_flops=0.0)
