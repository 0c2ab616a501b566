"""Splash attention, the Pallas kernel for TPUs, on part of a row.

Blocks of scores that a mask hides are neither computed nor read, so half of a causal
row costs nothing, and a window costs what it sees. The kernel is part of jax.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel as kernels,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_mask as masks,
)

from simex.models.softmax_attention import Window

MIN_BLOCK = 128  # positions
_MAX_BLOCK = 512  # a larger one does not fit the vector memory of v5e
# The fused backward kernel leaves a gradient of the queries for each block of keys, to
# be added up: 28 GiB a layer for 65,536 positions of Qwen2.5-7B. Longer rows take two
# kernels, which compute the scores once more.
_MAX_FUSED_BLOCKS = 8


def splash_attention(
    q_BTNH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    segments_BT: jax.Array,
    segments_BS: jax.Array,
    *,
    part: jax.Array | int,
    num_parts: int,
    window: Window,
    windows: tuple[int | None, ...],
) -> jax.Array:
    """softmax(q k') v of part `part` of `num_parts` of a row, float32 [B, T, N, H].

    Args:
        q_BTNH: scaled queries; T must be a multiple of 128.
        k_BSKH: keys of the whole row.
        v_BSKH: values of the whole row.
        segments_BT: int32, of the queries.
        segments_BS: int32, of the keys.
        part: may be traced: the number of the device along the row.
        num_parts: into how many parts the row is divided.
        window: an int or None, or traced (one program for layers that differ).
        windows: the values that a traced window may have; None is none.
    """
    q, k, v = (x.swapaxes(1, 2) for x in (q_BTNH, k_BSKH, v_BSKH))
    shape = (q.shape[1], k.shape[2])

    def run(window: int | None) -> jax.Array:
        with jax.ensure_compile_time_eval():
            kernel = _make_kernel(*shape, window, num_parts)
        kernel = _take_part(kernel, part, num_parts)

        def one_row(
            q: jax.Array, k: jax.Array, v: jax.Array, *segments: jax.Array
        ) -> Any:
            return kernel(q, k, v, segment_ids=kernels.SegmentIds(*segments))

        return jax.vmap(one_row)(q, k, v, segments_BT, segments_BS)

    if window is None or isinstance(window, int):
        out = run(window)
    else:
        # A mask is known when a program is compiled, so each window is a branch.
        sizes = jnp.array([shape[1] if w is None else w for w in windows])
        number = jnp.argmin(jnp.abs(sizes - jnp.minimum(window, shape[1])))
        out = jax.lax.switch(number, [functools.partial(run, w) for w in windows])
    return out.swapaxes(1, 2).astype(jnp.float32)


class _WholeBlocks:
    """A mask that does not compute blocks it shows or hides whole, number by number.

    The kernel asks for every block when it is made: 65,536 of them, three times, for a
    row of 131,072 positions.
    """

    num_seen: int  # positions that a position sees, itself among them

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        """The block of these queries and keys, bool."""
        rows, columns = index
        if None in (rows.start, rows.stop, columns.start, columns.stop):
            return super().__getitem__(index)  # type: ignore[misc]
        # Of a query and a key the least and the largest distance, query first.
        least, largest = rows.start - (columns.stop - 1), rows.stop - 1 - columns.start
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if largest < 0 or least >= self.num_seen:
            return _constant_block(size, False)
        if least >= 0 and largest < self.num_seen:
            return _constant_block(size, True)
        return super().__getitem__(index)  # type: ignore[misc]


class _CausalMask(_WholeBlocks, masks.CausalMask):
    @property
    def num_seen(self) -> int:  # type: ignore[override]
        return self.shape[1]


class _LocalMask(_WholeBlocks, masks.LocalMask):
    @property
    def num_seen(self) -> int:  # type: ignore[override]
        return (self.window_size[0] or 0) + 1


@functools.cache
def _constant_block(size: tuple[int, int], value: bool) -> np.ndarray:
    return np.full(size, value)


@functools.cache
def _make_kernel(
    num_heads: int, num_positions: int, window: int | None, num_parts: int
) -> kernels.SplashAttentionKernel:
    shape = (num_positions, num_positions)
    mask = (
        _CausalMask(shape)
        if window is None
        else _LocalMask(shape, window_size=(window - 1, 0), offset=0)
    )
    block = next(
        size
        for size in (_MAX_BLOCK, 256, MIN_BLOCK)
        if num_positions // num_parts % size == 0
    )
    is_fused = num_positions // block <= _MAX_FUSED_BLOCKS
    return kernels.make_splash_mha(
        masks.MultiHeadMask([mask] * num_heads),
        head_shards=1,
        q_seq_shards=num_parts,
        block_sizes=kernels.BlockSizes(
            block_q=block,
            block_kv=block,
            block_kv_compute=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_kv_dkv_compute=block,
            block_q_dq=None if is_fused else block,
            block_kv_dq=None if is_fused else block,
            use_fused_bwd_kernel=is_fused,
        ),
    )


def _take_part(
    kernel: kernels.SplashAttentionKernel, part: jax.Array | int, num_parts: int
) -> kernels.SplashAttentionKernel:
    """The tables of the blocks that one part of the queries sees."""
    if num_parts == 1:
        return kernel

    def take(table: jax.Array | None, axis: int) -> jax.Array | None:
        if table is None:
            return None
        size = table.shape[axis] // num_parts
        return jax.lax.dynamic_slice_in_dim(table, part * size, size, axis)

    def take_all(info: Any) -> Any:
        return info and info._replace(
            data_next=take(info.data_next, 1),
            mask_next=take(info.mask_next, 1),
            block_mask=take(info.block_mask, 1),
            q_sequence=take(info.q_sequence, 0),
        )

    return kernels.SplashAttentionKernel(
        take_all(kernel.fwd_mask_info),
        take_all(kernel.dq_mask_info),
        take_all(kernel.dkv_mask_info),
        **kernel.kwargs,
    )
