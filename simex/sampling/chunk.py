"""A chunk of decode steps: the one program of the sampler that runs again and again."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from simex.models.cache import Cache, make_cache, merge_recent
from simex.models.config import ModelConfig
from simex.models.transformer import Params, decode, logits, output_kernel
from simex.sampling.keys import position_uniforms
from simex.sampling.methods import choose_tokens
from simex.sampling.rows import Chunk, Rows
from simex.sharding.activations import placed


def decode_chunk(
    config: ModelConfig,
    mesh: Mesh,
    params: Params,
    cache: Cache,
    rows: Rows,
    *,
    chunk_steps: int,
    stop_ids: tuple[int, ...],
) -> tuple[Cache, Chunk]:
    """`chunk_steps` tokens for every running row, without asking the host."""
    stops_1N = jnp.array([stop_ids], jnp.int32)
    # The output layer in the type of matmuls, once a chunk: tied, it stays float32 for
    # the lookup of tokens.
    name, kernel, _ = output_kernel(config, params)
    output = {name[0]: {name[1]: kernel.astype(config.compute_dtype)}}

    def step(carry: Any, column: jax.Array) -> tuple[Any, Chunk]:
        tokens_B, remaining_B, recent = carry
        with placed(mesh):
            hidden_BD, recent = decode(
                config,
                params,
                tokens_B=tokens_B,
                prefix=cache,
                lengths_B=rows.lengths,
                recent=recent,
                column=column,
            )
        choice = choose_tokens(
            logits(config, output, hidden_BD),
            position_uniforms(rows.keys, rows.lengths + column + 1),
            temperature_B=rows.temperature,
            top_p_B=rows.top_p,
            top_k_B=rows.top_k,
        )
        valid_B = remaining_B > 0
        stopped_B = jnp.any(choice.tokens_B[:, None] == stops_1N, axis=-1)
        remaining_B = jnp.where(valid_B & ~stopped_B, remaining_B - 1, 0)
        carry = (choice.tokens_B, remaining_B, recent)
        return carry, Chunk(*choice, valid_B)

    recent = make_cache(
        config, rows.lengths.shape[0], chunk_steps, dtype=cache[0].v_BKSH.dtype.name
    )
    columns = jnp.arange(chunk_steps, dtype=jnp.int32)
    (_, _, recent), chunk = jax.lax.scan(
        step, (rows.tokens, rows.remaining, recent), columns
    )
    return merge_recent(cache, recent, rows.lengths), chunk
