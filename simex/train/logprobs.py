"""What the policy thinks of each token: logprob and entropy, without [B, T, V]."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from simex.models.config import ModelConfig
from simex.models.transformer import Params, forward, logits, output_kernel
from simex.sharding.activations import current_mesh
from simex.sharding.local import run_on_own_positions
from simex.sharding.mesh import platform_of

# Numbers of one [B, T/chunks, V] block of a device. Small ones stay in a CPU's cache; an
# accelerator reads and writes the gradient of the whole output layer once a chunk.
MAX_CHUNK_LOGITS = 16 * 2**20  # 64 MiB
MAX_CHUNK_LOGITS_ACCELERATOR = 256 * 2**20  # 1 GiB


def token_logprobs(
    config: ModelConfig,
    params: Params,
    batch: Mapping[str, jax.Array],
    *,
    temperature: jax.Array | float = 1.0,
    max_chunk_logits: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Logprob of every token given its segment's past, and the entropy it came from.

    The past of a segment with a prefix includes the prefix.

    Args:
        config: of the decoder.
        params: plain nested dict.
        batch: tokens, segment_ids, positions, each int32 [B, T]; prefix_ids where
            sequences share their beginnings (`tokens.packing`).
        temperature: logits are divided by it; must be positive.
        max_chunk_logits: positions are taken in chunks so that no block of logits on a
            device is larger; with several chunks the backward pass computes logits again.
            None: what suits the platform.

    Returns:
        (logprobs_BT, entropy_BT), float32, aligned with tokens: element t belongs to
        tokens[t], and is 0 at the first token of a segment and at padding.
    """
    return _score_tokens(
        config, params, batch, _logprob_and_entropy, temperature, max_chunk_logits
    )


def token_hits(
    config: ModelConfig, params: Params, batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Logprob of every token as above, and 1 where it is the most likely one, else 0.

    Greedy decoding gives a completion token by token if, and only if, each of its
    tokens is the most likely one after those before it: no sampler is needed to see
    which targets it would reproduce.
    """
    return _score_tokens(config, params, batch, _logprob_and_hit, 1.0, None)


# (logits [..., V], the target's logit [...], logsumexp [...]) -> two values [...]
_Score = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def _logprob_and_entropy(
    scaled: jax.Array, chosen: jax.Array, log_total: jax.Array
) -> tuple[jax.Array, jax.Array]:
    mean = jnp.sum(jax.nn.softmax(scaled, axis=-1) * scaled, axis=-1)
    return chosen - log_total, log_total - mean


def _logprob_and_hit(
    scaled: jax.Array, chosen: jax.Array, log_total: jax.Array
) -> tuple[jax.Array, jax.Array]:
    is_top = chosen >= jnp.max(scaled, axis=-1)
    return chosen - log_total, is_top.astype(jnp.float32)


def _score_tokens(
    config: ModelConfig,
    params: Params,
    batch: Mapping[str, jax.Array],
    score_logits: _Score,
    temperature: jax.Array | float,
    max_chunk_logits: int | None,
) -> tuple[jax.Array, jax.Array]:
    """Two values of every token, 0 at the first of a segment and at padding."""
    tokens_BT, segments_BT = batch["tokens"], batch["segment_ids"]
    hidden_BTD = forward(
        config,
        params,
        tokens_BT=tokens_BT,
        segment_ids_BT=segments_BT,
        positions_BT=batch["positions"],
        prefix_ids_BT=batch.get("prefix_ids"),
    )
    targets_BT = jnp.roll(tokens_BT, -1, axis=1)
    name, kernel, axes = output_kernel(config, params)
    limit = max_chunk_logits or _max_chunk_logits()

    def score(kernel: jax.Array, hidden_BTD: jax.Array, targets_BT: jax.Array) -> Any:
        own = {name[0]: {name[1]: kernel}}
        return _next_token(
            config, own, hidden_BTD, targets_BT, score_logits, temperature, limit
        )

    next_first_BT, next_second_BT = run_on_own_positions(
        score, kernel, hidden_BTD, targets_BT, axes=axes, dtype=config.compute_dtype
    )
    continues_BT = (segments_BT == jnp.roll(segments_BT, 1, axis=1)) & (segments_BT > 0)
    continues_BT = continues_BT.at[:, 0].set(False)

    def align(values_BT: jax.Array) -> jax.Array:
        return jnp.where(continues_BT, jnp.roll(values_BT, 1, axis=1), 0.0)

    return align(next_first_BT), align(next_second_BT)


def _next_token(
    config: ModelConfig,
    params: Params,
    hidden_BTD: jax.Array,
    targets_BT: jax.Array,
    score_logits: _Score,
    temperature: jax.Array | float,
    max_chunk_logits: int,
) -> tuple[jax.Array, jax.Array]:
    """What `score_logits` says of targets_BT, from the hidden state at the same t."""

    def score(hidden: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        scaled = logits(config, params, hidden) / temperature
        log_total = jax.nn.logsumexp(scaled, axis=-1)
        # A masked sum instead of a gather: the gradient of a gather is a scatter, which
        # the CPU does element by element (it took two thirds of a small train step).
        ids = jax.lax.broadcasted_iota(jnp.int32, scaled.shape, scaled.ndim - 1)
        is_target = targets[..., None] == ids
        chosen = jnp.sum(jnp.where(is_target, scaled, 0.0), axis=-1)
        return score_logits(scaled, chosen, log_total)

    B, T = targets_BT.shape
    num_chunks = _num_chunks(B * T * config.vocab_size, T, max_chunk_logits)
    if num_chunks == 1:
        return score(hidden_BTD, targets_BT)

    def split(x: jax.Array) -> jax.Array:  # [B, T, ...] -> [chunks, B, T/chunks, ...]
        return jnp.moveaxis(x.reshape(B, num_chunks, -1, *x.shape[2:]), 1, 0)

    # Checkpointed, so that the backward pass keeps no logits of earlier chunks.
    body = jax.checkpoint(lambda _, chunk: (None, score(*chunk)))
    _, scores = jax.lax.scan(body, None, (split(hidden_BTD), split(targets_BT)))
    logprobs, entropy = (jnp.moveaxis(x, 0, 1).reshape(B, T) for x in scores)
    return logprobs, entropy


def _max_chunk_logits() -> int:
    mesh = current_mesh()
    is_cpu = mesh is None or platform_of(mesh) == "cpu"
    return MAX_CHUNK_LOGITS if is_cpu else MAX_CHUNK_LOGITS_ACCELERATOR


def _num_chunks(num_logits: int, num_positions: int, max_chunk_logits: int) -> int:
    """The fewest chunks of equal length that stay within the limit."""
    least = max(1, math.ceil(num_logits / max_chunk_logits))
    return next(
        (n for n in range(least, num_positions) if num_positions % n == 0),
        num_positions,
    )
