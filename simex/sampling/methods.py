"""How the next token is chosen from logits, with settings that are traced values."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from simex.core.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingMethod:
    """Temperature, then top-k, then top-p of what top-k left."""

    temperature: float = 1.0  # 0 takes the most likely token
    top_p: float = 1.0  # 1 keeps all
    top_k: int = 0  # 0 keeps all

    def __post_init__(self) -> None:
        """Raises UserError for a number outside its range."""
        if not self.temperature >= 0:
            raise UserError(
                f"A temperature must be at least 0, but it is {self.temperature}."
            )
        if not 0 < self.top_p <= 1:
            raise UserError(
                f"top_p must be above 0 and at most 1, but it is {self.top_p}. Use 1 "
                "to keep all tokens."
            )
        if self.top_k < 0:
            raise UserError(
                f"top_k must be at least 0, but it is {self.top_k}. Use 0 to keep all "
                "tokens."
            )


class Choice(NamedTuple):
    """What was chosen for each row, and how likely it was."""

    tokens_B: jax.Array
    logprobs_B: jax.Array  # of the whole policy at this temperature, before truncation
    log_kept_B: jax.Array  # log of the policy's mass that top-k and top-p kept, <= 0


def choose_tokens(
    logits_BV: jax.Array,
    uniforms_B: jax.Array,
    *,
    temperature_B: jax.Array,
    top_p_B: jax.Array,
    top_k_B: jax.Array,
) -> Choice:
    """Draws by inverting the cumulative distribution at `uniforms_B` in [0, 1).

    One random number a row instead of a Gumbel number a token: at large vocabularies
    random bits would cost a CPU more than the logits. Rows of temperature 0 take the
    arg-max; their logprob is that of temperature 1.

    The logprob of a token under the truncated distribution is logprob - log_kept.
    """
    is_greedy_B = temperature_B == 0
    scaled_BV = logits_BV / jnp.where(is_greedy_B, 1.0, temperature_B)[:, None]
    top_B = jnp.max(scaled_BV, axis=-1)
    weights_BV = jnp.exp(scaled_BV - top_B[:, None])
    total_B = jnp.sum(weights_BV, axis=-1)
    truncates = jnp.any((top_p_B < 1) | (top_k_B > 0))
    kept_BV = jax.lax.cond(
        truncates, _truncate, lambda weights, *_: weights, weights_BV, top_p_B, top_k_B
    )
    kept_mass_B = jnp.sum(kept_BV, axis=-1)
    tokens_B = _invert(kept_BV, uniforms_B)
    tokens_B = jnp.where(is_greedy_B, jnp.argmax(logits_BV, axis=-1), tokens_B)
    chosen_B = jnp.take_along_axis(scaled_BV, tokens_B[:, None], axis=-1)[:, 0]
    log_kept_B = jnp.where(truncates, jnp.log(kept_mass_B / total_B), 0.0)
    return Choice(
        tokens_B.astype(jnp.int32), chosen_B - top_B - jnp.log(total_B), log_kept_B
    )


def _truncate(
    weights_BV: jax.Array, top_p_B: jax.Array, top_k_B: jax.Array
) -> jax.Array:
    """Sets weights outside top-k, then outside top-p, to 0; ties at the edge stay."""
    V = weights_BV.shape[-1]
    count_B = jnp.where(top_k_B > 0, top_k_B, V).astype(jnp.float32)
    weights_BV = _keep_largest(weights_BV, jnp.ones_like(weights_BV), count_B)
    mass_B = top_p_B * jnp.sum(weights_BV, axis=-1)
    kept_BV = _keep_largest(weights_BV, weights_BV, mass_B)
    return jnp.where(top_p_B[:, None] < 1, kept_BV, weights_BV)


def _keep_largest(
    weights_BV: jax.Array, measure_BV: jax.Array, needed_B: jax.Array
) -> jax.Array:
    """Keeps the largest weights whose measures sum to at least `needed_B`.

    Finds the edge by bisection over the bits of non-negative floats, which order like
    integers: 31 masked sums, much cheaper than sorting a vocabulary.
    """
    bits_BV = jax.lax.bitcast_convert_type(weights_BV, jnp.int32)

    def narrow(i: jax.Array, edge_B: jax.Array) -> jax.Array:
        raised_B = edge_B | (jnp.int32(1) << (30 - i))
        above_BV = jnp.where(bits_BV >= raised_B[:, None], measure_BV, 0.0)
        return jnp.where(jnp.sum(above_BV, axis=-1) >= needed_B, raised_B, edge_B)

    edge_B = jax.lax.fori_loop(0, 31, narrow, jnp.zeros_like(needed_B, jnp.int32))
    return jnp.where(bits_BV >= edge_B[:, None], weights_BV, 0.0)


def _invert(weights_BV: jax.Array, uniforms_B: jax.Array) -> jax.Array:
    """The index whose cumulative interval holds uniform * total, in two levels."""
    B, V = weights_BV.shape
    width = 1 << max(1, (V - 1).bit_length() // 2)
    padded = jnp.pad(weights_BV, ((0, 0), (0, -V % width)))
    blocks_BMW = padded.reshape(B, -1, width)
    sums_BM = jnp.sum(blocks_BMW, axis=-1)
    target_B = uniforms_B * jnp.sum(sums_BM, axis=-1)
    block_B, rest_B = _pick(sums_BM, target_B)
    inside_BW = jnp.take_along_axis(blocks_BMW, block_B[:, None, None], axis=1)[:, 0]
    index_B, _ = _pick(inside_BW, rest_B)
    return block_B * width + index_B


def _pick(weights_BM: jax.Array, target_B: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First index whose cumulative weight exceeds the target, and what is left of it.

    Rounding may put the target at or above the total: then the last positive weight.
    It may also put an end above the one before it where the weight is 0, or a start
    above the target: a weight of 0 is passed over, and nothing is left, never less.
    """
    M = weights_BM.shape[-1]
    ends_BM = jnp.cumsum(weights_BM, axis=-1)
    indices_1M = jnp.arange(M, dtype=jnp.int32)[None]
    last_B = jnp.max(jnp.where(weights_BM > 0, indices_1M, 0), axis=-1)
    past_BM = ends_BM <= target_B[:, None]
    first_B = jnp.sum(past_BM, axis=-1, dtype=jnp.int32)
    can_be_BM = (weights_BM > 0) & (indices_1M >= first_B[:, None])
    index_B = jnp.min(jnp.where(can_be_BM, indices_1M, last_B[:, None]), axis=-1)
    starts_BM = ends_BM - weights_BM
    start_B = jnp.take_along_axis(starts_BM, index_B[:, None], axis=-1)[:, 0]
    return index_B, jnp.maximum(target_B - start_B, 0.0)
