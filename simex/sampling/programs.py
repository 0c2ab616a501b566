"""The compiled programs of the sampler: prefill, insert, decode a chunk, compact.

Rows are divided over all mesh axes but `tensor` by `shard_map`: each device owns its slots,
prompts and caches, and nothing is exchanged while decoding. The tensor axis, where it
is used, stays with the compiler.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from simex.models.cache import (
    Cache,
    LayerCache,
    copy_spans,
    make_cache,
    merge_recent,
    slice_cache,
)
from simex.models.config import ModelConfig
from simex.models.layout import unstack_layers
from simex.models.transformer import Params, decode, init_params, logits, prefill
from simex.sampling.keys import position_uniforms
from simex.sampling.methods import choose_tokens
from simex.sharding.activations import placed
from simex.sharding.decode import keep_own, own_part
from simex.sharding.mesh import (
    DECODE_AXES,
    DECODE_RULES,
    decode_sharding,
    make_shardings,
)

COPY_SPAN = 32  # prompts are copied into slots in pieces of so many positions


class Rows(NamedTuple):
    """What the host knows of every slot; arrays [B], keys [B, 2]."""

    lengths: Any  # int32, positions in the cache
    tokens: Any  # int32, the token to feed next, at position `lengths`
    remaining: Any  # int32, tokens still wanted; 0 for a slot without a request
    keys: Any  # uint32
    temperature: Any  # float32
    top_p: Any  # float32
    top_k: Any  # int32


class Chunk(NamedTuple):
    """What one chunk of decode steps produced, arrays [steps, B]."""

    tokens: Any
    logprobs: Any
    log_kept: Any
    valid: Any  # bool: the row was still running at this step


class Programs:
    """Jitted functions for one model, mesh and chunk length."""

    def __init__(
        self,
        config: ModelConfig,
        mesh: Mesh,
        *,
        chunk_steps: int,
        stop_ids: tuple[int, ...],
        num_positions: int,
        cache_dtype: str,
    ) -> None:
        """Compiles nothing yet; programs compile at their first call."""
        # Layers one by one: a scan would copy its stacked cache at every decode step.
        config = dataclasses.replace(config, scan_layers=False, remat="none")
        row, whole = PartitionSpec(DECODE_AXES), PartitionSpec()
        boxed = jax.eval_shape(
            lambda: init_params(config, jax.random.key(0), boxed=True)
        )
        # From the layout of training to that of decoding, and to the type of matmuls.
        self._prepare: Callable[[Params], Params] = jax.jit(
            functools.partial(_cast_kernels, config),
            out_shardings=make_shardings(boxed, mesh, rules=DECODE_RULES),
        )
        own = own_part(mesh)
        self._own_shardings = (
            None if own is mesh else make_shardings(boxed, own, rules=DECODE_RULES)
        )
        mesh = own
        shard = functools.partial(
            jax.shard_map,
            mesh=mesh,
            axis_names=set(DECODE_AXES),
            check_vma=False,  # devices run loops of different lengths, on purpose
        )
        self.prefill: Callable[..., Cache] = jax.jit(
            shard(
                functools.partial(_prefill, config, mesh, cache_dtype=cache_dtype),
                in_specs=(whole, row, row, row),
                out_specs=row,
            )
        )
        self.insert: Callable[..., Cache] = jax.jit(
            shard(_insert, in_specs=(row, row, row, row), out_specs=row),
            donate_argnums=0,
        )
        self.compact: Callable[..., Cache] = jax.jit(
            shard(_compact, in_specs=(row, row), out_specs=row)
        )
        self._make_cache: Callable[[int], Cache] = jax.jit(
            lambda num_rows: make_cache(
                config, num_rows, num_positions, dtype=cache_dtype
            ),
            static_argnums=0,
            out_shardings=decode_sharding(mesh),
        )
        self._decode: dict[int, Callable[..., tuple[Cache, Chunk]]] = {}
        self._make_decode = lambda span: jax.jit(
            shard(
                functools.partial(
                    _decode_chunk,
                    config,
                    chunk_steps=chunk_steps,
                    stop_ids=stop_ids,
                    span=span,
                ),
                in_specs=(whole, row, row),
                out_specs=(row, PartitionSpec(None, DECODE_AXES)),
            ),
            donate_argnums=1,
        )

    def prepare_params(self, params: Params) -> Params:
        """Params of training as decoding reads them: a copy for this process.

        All processes of the mesh must come here together.
        """
        prepared = self._prepare(params)
        if self._own_shardings is None:
            return prepared
        return keep_own(prepared, self._own_shardings)

    def make_cache(self, num_rows: int) -> Cache:
        """An empty cache of all slots, rows divided over devices."""
        return self._make_cache(num_rows)

    def decode_chunk(
        self, params: Params, cache: Cache, rows: Rows, *, span: int
    ) -> tuple[Cache, Chunk]:
        """Decodes one chunk reading the first `span` positions; donates the cache."""
        if span not in self._decode:
            self._decode[span] = self._make_decode(span)
        return self._decode[span](params, cache, rows)


@functools.cache
def make_programs(
    config: ModelConfig,
    mesh: Mesh,
    *,
    chunk_steps: int,
    stop_ids: tuple[int, ...],
    num_positions: int,
    cache_dtype: str,
) -> Programs:
    """Programs, the same ones for samplers of the same sizes: they compile once."""
    return Programs(
        config,
        mesh,
        chunk_steps=chunk_steps,
        stop_ids=stop_ids,
        num_positions=num_positions,
        cache_dtype=cache_dtype,
    )


def _cast_kernels(config: ModelConfig, params: Params) -> Params:
    """Kernels in the type that matmuls read, so that no decode step converts them."""

    params = unstack_layers(config, params)

    def cast(path: Any, leaf: jax.Array) -> jax.Array:
        is_kernel = path[-1].key == "kernel"
        return leaf.astype(config.compute_dtype) if is_kernel else leaf

    return jax.tree_util.tree_map_with_path(cast, params)


def _prefill(
    config: ModelConfig,
    mesh: Mesh,
    params: Params,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
    *,
    cache_dtype: str,
) -> Cache:
    """Keys and values of packed prompts, with room behind so that copies fit."""
    with placed(mesh):
        cache = prefill(
            config,
            params,
            tokens_BT=tokens_BT,
            segment_ids_BT=segment_ids_BT,
            positions_BT=positions_BT,
        )
    room = (0, COPY_SPAN)
    return tuple(
        LayerCache(
            jnp.pad(layer.k_BKHS, ((0, 0), (0, 0), (0, 0), room)).astype(cache_dtype),
            jnp.pad(layer.v_BKSH, ((0, 0), (0, 0), room, (0, 0))).astype(cache_dtype),
        )
        for layer in cache
    )


def _insert(
    cache: Cache, block: Cache, num_copies_1: jax.Array, copies_1C4: jax.Array
) -> Cache:
    """Copies spans (row, start, slot, slot start) of a prefilled block into slots."""
    row_C, start_C, slot_C, slot_start_C = (copies_1C4[0, :, i] for i in range(4))
    return copy_spans(
        cache,
        block,
        COPY_SPAN,
        num_spans=num_copies_1[0],
        sources=(row_C, start_C),
        targets=(slot_C, slot_start_C),
    )


def _compact(cache: Cache, slots_B: jax.Array) -> Cache:
    """A smaller cache of the named slots."""
    return jax.tree.map(lambda array: jnp.take(array, slots_B, axis=0), cache)


def _decode_chunk(
    config: ModelConfig,
    params: Params,
    cache: Cache,
    rows: Rows,
    *,
    chunk_steps: int,
    stop_ids: tuple[int, ...],
    span: int,
) -> tuple[Cache, Chunk]:
    """`chunk_steps` tokens for every running row, without asking the host."""
    prefix = slice_cache(cache, span)
    stops_1N = jnp.array([stop_ids], jnp.int32)

    def step(carry: Any, column: jax.Array) -> tuple[Any, Chunk]:
        tokens_B, remaining_B, recent = carry
        hidden_BD, recent = decode(
            config,
            params,
            tokens_B=tokens_B,
            prefix=prefix,
            lengths_B=rows.lengths,
            recent=recent,
            column=column,
        )
        choice = choose_tokens(
            logits(config, params, hidden_BD),
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


def idle_rows(num_rows: int) -> Rows:
    """Host rows without a request: numpy arrays, written in place."""
    return Rows(
        lengths=np.zeros(num_rows, np.int32),
        tokens=np.zeros(num_rows, np.int32),
        remaining=np.zeros(num_rows, np.int32),
        keys=np.zeros((num_rows, 2), np.uint32),
        temperature=np.ones(num_rows, np.float32),
        top_p=np.ones(num_rows, np.float32),
        top_k=np.zeros(num_rows, np.int32),
    )
