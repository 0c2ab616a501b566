"""The compiled programs of the sampler: prefill, insert, decode a chunk, resize.

Rows are divided over all mesh axes but `tensor` by `shard_map`: each device owns its slots,
prompts and caches, and nothing is exchanged while decoding. The tensor axis, where it
is used, stays with the compiler.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from simex.models.cache import (
    Cache,
    LayerCache,
    copy_spans,
    make_cache,
    replace_layers,
    resize_cache,
)
from simex.models.config import ModelConfig
from simex.models.layout import unstack_layers
from simex.models.transformer import (
    Params,
    init_params,
    prefill,
)
from simex.sampling.chunk import decode_chunk
from simex.sampling.rows import Chunk
from simex.sharding.activations import placed
from simex.sharding.compiles import unwatched, watch_compiles
from simex.sharding.decode import cache_sharding, keep_own, own_part
from simex.sharding.mesh import (
    DECODE_AXES,
    DECODE_RULES,
    make_shardings,
)

COPY_SPAN = 32  # prompts are copied into slots in pieces of so many positions


class Programs:
    """Jitted functions for one model, mesh and chunk length."""

    def __init__(
        self,
        config: ModelConfig,
        mesh: Mesh,
        *,
        chunk_steps: int,
        stop_ids: tuple[int, ...],
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
        caches = cache_sharding(mesh, config.num_kv_heads)
        chunks = NamedSharding(mesh, PartitionSpec(None, DECODE_AXES))
        shard = functools.partial(
            jax.shard_map,
            mesh=mesh,
            axis_names=set(DECODE_AXES),
            check_vma=False,  # devices run loops of different lengths, on purpose
        )
        self.prefill: Callable[..., Cache] = _watched(
            shard(
                functools.partial(_prefill, config, mesh, cache_dtype=cache_dtype),
                in_specs=(whole, row, row, row),
                out_specs=row,
            ),
            "prefill",
            out_shardings=caches,
        )
        self.insert: Callable[..., Cache] = _watched(
            shard(_insert, in_specs=(row, row, row, row), out_specs=row),
            "insertion of prompts",
            out_shardings=caches,
            donate_argnums=0,
        )
        self._resize = _watched(
            lambda cache, slots_B, num_positions: shard(
                functools.partial(resize_cache, num_positions=num_positions),
                in_specs=(row, row),
                out_specs=row,
            )(cache, slots_B),
            "resizing of a cache",
            out_shardings=caches,
            static_argnums=2,
        )
        self._make_cache = _watched(
            lambda num_rows, num_positions: make_cache(
                config, num_rows, num_positions, dtype=cache_dtype
            ),
            "making of a cache",
            static_argnums=(0, 1),
            out_shardings=caches,
        )
        self.decode_chunk: Callable[..., tuple[Cache, Chunk]] = _watched(
            shard(
                functools.partial(
                    decode_chunk,
                    config,
                    mesh,
                    chunk_steps=chunk_steps,
                    stop_ids=stop_ids,
                ),
                in_specs=(whole, row, row),
                out_specs=(row, PartitionSpec(None, DECODE_AXES)),
            ),
            "decoding of a chunk",
            out_shardings=(caches, chunks),
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

    def abstract_params(self, params: Any) -> Params:
        """Shapes, types and shardings of what `prepare_params` gives."""
        prepared = self._prepare.eval_shape(params)  # type: ignore[attr-defined]
        if self._own_shardings is None:
            return prepared
        return jax.tree.map(
            lambda leaf, own: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=own
            ),
            prepared,
            self._own_shardings,
        )

    def make_cache(self, num_rows: int, num_positions: int) -> Cache:
        """An empty cache, rows divided over devices."""
        return self._make_cache(num_rows, num_positions)

    def abstract_cache(self, num_rows: int, num_positions: int) -> Any:
        """Shapes, types and shardings of that cache."""
        return unwatched(self._make_cache).eval_shape(num_rows, num_positions)

    def resize(self, cache: Cache, slots_B: np.ndarray, num_positions: int) -> Cache:
        """The named slots with room for so many positions; the old cache is deleted."""
        change = lambda layer: self._resize(layer, slots_B, num_positions)
        return replace_layers(cache, change)


def _watched(function: Callable[..., Any], name: str, **settings: Any) -> Any:
    """Compiled once for each set of shapes; warns when that does not hold."""
    return watch_compiles(jax.jit(function, **settings), name)


@functools.cache
def make_programs(
    config: ModelConfig,
    mesh: Mesh,
    *,
    chunk_steps: int,
    stop_ids: tuple[int, ...],
    cache_dtype: str,
) -> Programs:
    """Programs, the same ones for samplers of the same sizes: they compile once."""
    return Programs(
        config,
        mesh,
        chunk_steps=chunk_steps,
        stop_ids=stop_ids,
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
