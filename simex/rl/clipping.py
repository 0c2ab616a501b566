"""The surrogate of a token: ratio times advantage, kept from going too far.

Each function takes ratio_BT, advantages_BT and the bounds and gives surrogate_BT, which
is to be made large. PPO's bounds may be equal (symmetric) or not (clip-higher); what
differs between the functions is what happens outside them.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from simex.core.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """The ratio may lie in [1 - low, 1 + high]."""

    low: float = 0.2  # 1: no lower bound
    high: float = 0.25
    dual: float = 3.0  # dual clip: a loss is at most this times -advantage

    def __post_init__(self) -> None:
        """Raises UserError for an impossible bound."""
        if not 0 < self.low <= 1 or not self.high > 0 or not self.dual > 1:
            raise UserError(
                "clip_low must lie above 0 and at most at 1, clip_high above 0 and "
                f"dual_clip above 1; got {self.low}, {self.high} and {self.dual}."
            )


Tokens = Float[Array, "B T"]
Surrogate = Callable[[Tokens, Tokens, Bounds], Tokens]


def take_lower(ratio_BT: Tokens, advantages_BT: Tokens, bounds: Bounds) -> Tokens:
    """min(ρA, clip(ρ)A), PPO (arXiv 1707.06347); clip-higher is DAPO's (2503.14476)."""
    clipped_BT = jnp.clip(ratio_BT, 1 - bounds.low, 1 + bounds.high)
    return jnp.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT)


def take_lower_dual(ratio_BT: Tokens, advantages_BT: Tokens, bounds: Bounds) -> Tokens:
    """PPO's, and at least dual·A where A < 0 (dual clip, arXiv 1912.09729)."""
    lower_BT = take_lower(ratio_BT, advantages_BT, bounds)
    floored_BT = jnp.maximum(lower_BT, bounds.dual * advantages_BT)
    return jnp.where(advantages_BT < 0, floored_BT, lower_BT)


def weight_clipped(ratio_BT: Tokens, advantages_BT: Tokens, bounds: Bounds) -> Tokens:
    """sg(clip(ρ))·A·log ρ, CISPO (arXiv 2506.13585): every token keeps a gradient.

    The paper writes log π where this has log ρ = log π − log π_sampler; the gradients
    are the same, and this value needs no further array. log ρ is that of `ratio_BT`.
    """
    clipped_BT = jnp.clip(ratio_BT, 1 - bounds.low, 1 + bounds.high)
    return jax.lax.stop_gradient(clipped_BT) * advantages_BT * jnp.log(ratio_BT)


def leave_alone(ratio_BT: Tokens, advantages_BT: Tokens, bounds: Bounds) -> Tokens:
    """ρA: the policy gradient with importance weights, REINFORCE where ρ is 1."""
    del bounds
    return ratio_BT * advantages_BT


def token_ratio(
    log_ratio_BT: Tokens, mask_BT: Tokens, segments_BT: Int[Array, "B T"]
) -> Tokens:
    """exp(log ρ) of each token."""
    del segments_BT
    return jnp.exp(log_ratio_BT * mask_BT)


def sequence_ratio(
    log_ratio_BT: Tokens, mask_BT: Tokens, segments_BT: Int[Array, "B T"]
) -> Tokens:
    """exp(mean of log ρ over its sequence) at each token, GSPO (arXiv 2507.18071).

    A sequence is a segment of a packed row: one turn, whose prompt is not sampled.
    With the sequence mean as reduction this is the paper's loss.
    """
    B, T = log_ratio_BT.shape
    rows_BT = jnp.arange(B, dtype=segments_BT.dtype)[:, None] * (T + 1)
    index_N = (rows_BT + segments_BT).reshape(-1)

    def sum_segments(values_BT: jax.Array) -> jax.Array:
        flat_N = (values_BT * mask_BT).reshape(-1)
        return jax.ops.segment_sum(flat_N, index_N, num_segments=B * (T + 1))

    count = jnp.maximum(sum_segments(jnp.ones_like(log_ratio_BT)), 1.0)
    means_BT = (sum_segments(log_ratio_BT) / count)[index_N].reshape(B, T)
    return jnp.exp(means_BT * mask_BT)


Ratio = Callable[[Tokens, Tokens, Int[Array, "B T"]], Tokens]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clipping:
    """Whose ratio, and what becomes of it."""

    ratio: Ratio
    surrogate: Surrogate


CLIPPINGS: Mapping[str, Clipping] = {
    "ppo": Clipping(ratio=token_ratio, surrogate=take_lower),
    "dual": Clipping(ratio=token_ratio, surrogate=take_lower_dual),
    "cispo": Clipping(ratio=token_ratio, surrogate=weight_clipped),
    "gspo": Clipping(ratio=sequence_ratio, surrogate=take_lower),
    "none": Clipping(ratio=token_ratio, surrogate=leave_alone),
}
