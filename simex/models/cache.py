"""Keys and values that decoding remembers, as a plain pytree.

Decoding reads two places. The prefix holds everything before the current chunk and is
only read, so XLA never copies it inside the decode loop. The recent buffer holds the
positions of the current chunk; every row writes the same column at the same step,
which is one in-place slice. When the chunk ends, `merge_recent` appends the buffer to
each row's prefix, whose lengths differ.

Keys are stored with positions innermost: scores then vectorise over positions, which
is nearly twice as fast on a CPU as a dot over the head width (B=64, S=256, H=64).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from simex.models.config import ModelConfig


class LayerCache(NamedTuple):
    """One layer's keys and values."""

    k_BKHS: jax.Array
    v_BKSH: jax.Array


Cache = tuple[LayerCache, ...]  # one entry a layer
Place = tuple[jax.Array, jax.Array]  # rows and first positions, int32


def make_cache(
    config: ModelConfig, num_rows: int, num_positions: int, *, dtype: str = "float32"
) -> Cache:
    """An empty cache: zeros."""
    kv, width = config.num_kv_heads, config.head_dim
    return tuple(
        LayerCache(
            jnp.zeros((num_rows, kv, width, num_positions), dtype),
            jnp.zeros((num_rows, kv, num_positions, width), dtype),
        )
        for _ in range(config.num_layers)
    )


def resize_cache(cache: Cache, rows_B: jax.Array, num_positions: int) -> Cache:
    """The named rows, with room for `num_positions`: what lies beyond is cut off."""
    room = num_positions - cache[0].v_BKSH.shape[2]

    def resize(array: jax.Array, axis: int) -> jax.Array:
        array = jax.lax.slice_in_dim(
            array, 0, array.shape[axis] + min(room, 0), 1, axis
        )
        widths = [(0, max(room, 0) if i == axis else 0) for i in range(4)]
        return jnp.pad(jnp.take(array, rows_B, axis=0), widths)

    return tuple(
        LayerCache(resize(layer.k_BKHS, 3), resize(layer.v_BKSH, 2)) for layer in cache
    )


def write_column(
    cache: LayerCache, k_B1KH: jax.Array, v_B1KH: jax.Array, column: jax.Array
) -> LayerCache:
    """Writes one position of all rows at the same column."""
    k_BKH1 = k_B1KH.transpose(0, 2, 3, 1).astype(cache.k_BKHS.dtype)
    v_BK1H = v_B1KH.transpose(0, 2, 1, 3).astype(cache.v_BKSH.dtype)
    return LayerCache(
        jax.lax.dynamic_update_slice_in_dim(cache.k_BKHS, k_BKH1, column, axis=3),
        jax.lax.dynamic_update_slice_in_dim(cache.v_BKSH, v_BK1H, column, axis=2),
    )


def from_projections(k_BTKH: jax.Array, v_BTKH: jax.Array) -> LayerCache:
    """The cache of rows whose keys and values were all computed at once."""
    return LayerCache(k_BTKH.transpose(0, 2, 3, 1), v_BTKH.transpose(0, 2, 1, 3))


def merge_recent(cache: Cache, recent: Cache, lengths_B: jax.Array) -> Cache:
    """Writes the recent buffer behind each row's first `lengths_B` positions.

    The cache must have room for a whole buffer behind the longest row: a write that
    does not fit would be moved left, over older positions.
    """
    width = recent[0].v_BKSH.shape[2]
    rows = jnp.arange(lengths_B.shape[0], dtype=jnp.int32)
    zeros = jnp.zeros_like(lengths_B)
    return copy_spans(
        cache, recent, width, num_spans=lengths_B.shape[0],
        sources=(rows, zeros), targets=(rows, lengths_B),
    )  # fmt: skip


def replace_layers(cache: Cache, change: Callable[[Cache], Cache]) -> Cache:
    """Each layer, a cache of one, as `change` gives it; the old ones are deleted.

    At no time is there more than one old layer beside the new ones.
    """
    changed: list[LayerCache] = []
    for layer in cache:
        changed += jax.block_until_ready(change((layer,)))
        for array in layer:
            array.delete()
    return tuple(changed)


def copy_spans(
    target: Cache,
    source: Cache,
    span: int,
    *,
    num_spans: int | jax.Array,
    sources: Place,
    targets: Place,
) -> Cache:
    """Copies the first `num_spans` of a list of spans of positions between caches.

    Args:
        target: is written; a donated target is updated in place.
        source: is read.
        span: how many positions each copy moves.
        num_spans: may be traced, so that one program serves any number.
        sources: rows and first positions in `source`.
        targets: rows and first positions in `target`.
    """
    return jax.lax.platform_dependent(
        target,
        source,
        jnp.asarray(num_spans, jnp.int32),
        sources,
        targets,
        cuda=functools.partial(_copy_together, span),
        default=functools.partial(_copy_in_turn, span),
    )


def _copy_in_turn(
    span: int,
    target: Cache,
    source: Cache,
    num_spans: jax.Array,
    sources: Place,
    targets: Place,
) -> Cache:
    """Span after span, in place: what a CPU and a TPU do fast."""

    def copy_one(i: jax.Array, target: Cache) -> Cache:
        zero = jnp.int32(0)
        (row, start), (to_row, to_start) = (
            (rows[i], starts[i]) for rows, starts in (sources, targets)
        )

        def copy_layer(to: LayerCache, come: LayerCache) -> LayerCache:
            _, kv, width, _ = come.k_BKHS.shape
            k = jax.lax.dynamic_slice(
                come.k_BKHS, (row, zero, zero, start), (1, kv, width, span)
            )
            v = jax.lax.dynamic_slice(
                come.v_BKSH, (row, zero, start, zero), (1, kv, span, width)
            )
            return LayerCache(
                jax.lax.dynamic_update_slice(
                    to.k_BKHS, k.astype(to.k_BKHS.dtype), (to_row, zero, zero, to_start)
                ),
                jax.lax.dynamic_update_slice(
                    to.v_BKSH, v.astype(to.v_BKSH.dtype), (to_row, zero, to_start, zero)
                ),
            )

        return tuple(map(copy_layer, target, source))

    return jax.lax.fori_loop(0, num_spans, copy_one, target)


def _copy_together(
    span: int,
    target: Cache,
    source: Cache,
    num_spans: jax.Array,
    sources: Place,
    targets: Place,
) -> Cache:
    """All spans of a layer in one scatter: a GPU starts a kernel for every copy."""
    numbers = jnp.arange(sources[0].shape[0], dtype=jnp.int32)
    # Spans that are not to be copied go to rows that do not exist: they are dropped.
    num_rows = target[0].v_BKSH.shape[0]
    to_rows_C1 = jnp.where(numbers < num_spans, targets[0], num_rows + numbers)[:, None]
    rows_C1 = sources[0][:, None]
    offsets_1S = jnp.arange(span, dtype=jnp.int32)[None, :]
    columns_CS = sources[1][:, None] + offsets_1S
    to_columns_CS = targets[1][:, None] + offsets_1S

    def copy_layer(to: LayerCache, come: LayerCache) -> LayerCache:
        k_CSKH = come.k_BKHS[rows_C1, :, :, columns_CS].astype(to.k_BKHS.dtype)
        v_CSKH = come.v_BKSH[rows_C1, :, columns_CS].astype(to.v_BKSH.dtype)
        k_at = to.k_BKHS.at[to_rows_C1, :, :, to_columns_CS]
        v_at = to.v_BKSH.at[to_rows_C1, :, to_columns_CS]
        return LayerCache(
            k_at.set(k_CSKH, mode="drop", unique_indices=True),
            v_at.set(v_CSKH, mode="drop", unique_indices=True),
        )

    return tuple(map(copy_layer, target, source))
