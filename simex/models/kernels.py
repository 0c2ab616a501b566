"""The attention of packed rows on each platform, one line a platform.

A kernel is given queries [B, T, N, H] that are part number `part` of `num_parts` equal
parts of a row, and the keys and values [B, S, K, H] of the whole row (S = T num_parts),
with the segments of both. Position t of a row sees s <= t of its own segment and its
prefix, and with a window only s > t - window. It returns [B, T, N, H] in float32.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from simex.models.config import ModelConfig
from simex.models.matmul import precision_of
from simex.models.segments import Segments
from simex.models.softmax_attention import Window, causal_attention
from simex.models.splash import MIN_BLOCK, splash_attention


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowPart:
    """Which queries of a row a kernel is given."""

    part: jax.Array | int = 0
    num_parts: int = 1


Kernel = Callable[..., jax.Array]
"""(config, q_BTNH, k_BSKH, v_BSKH, queries, keys, RowPart, window)"""


def blocked_softmax(
    config: ModelConfig,
    q_BTNH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    queries: Segments,
    keys: Segments,
    where: RowPart,
    window: Window,
) -> jax.Array:
    """Any platform, made for the CPU.

    A part of a row is put among zeros to be a whole row again, which costs `num_parts`
    times the work: on a CPU the `sequence` axis is there to be tested, not to be fast.
    """
    B, T, N, H = q_BTNH.shape
    K, first = k_BSKH.shape[2], where.part * T
    if where.num_parts > 1:
        whole = jnp.zeros((B, k_BSKH.shape[1], N, H), q_BTNH.dtype)
        q_BTNH = jax.lax.dynamic_update_slice_in_dim(whole, q_BTNH, first, axis=1)
    grouped = q_BTNH.reshape(B, -1, K, N // K, H) * H**-0.5
    out_BKGSH = causal_attention(
        grouped.transpose(0, 2, 3, 1, 4),
        k_BSKH.transpose(0, 2, 1, 3),
        v_BSKH.transpose(0, 2, 1, 3),
        keys,
        config.compute_dtype,
        window,
    )
    out = out_BKGSH.transpose(0, 3, 1, 2, 4).reshape(B, -1, N, H)
    if where.num_parts == 1:
        return out
    return jax.lax.dynamic_slice_in_dim(out, first, T, axis=1)


def fused_on_gpu(
    config: ModelConfig,
    q_BTNH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    queries: Segments,
    keys: Segments,
    where: RowPart,
    window: Window,
) -> jax.Array:
    """cuDNN's flash attention, which takes bfloat16 only; XLA's own for float32."""
    T, S = q_BTNH.shape[1], k_BSKH.shape[1]
    seen_BTS = queries.sees(keys)
    is_whole = where.num_parts == 1 and window is None
    if not is_whole:
        queries_T1 = where.part * T + jnp.arange(T)[:, None]
        behind_TS = queries_T1 - jnp.arange(S)[None, :]
        in_window = True if window is None else behind_TS < window
        seen_BTS &= ((behind_TS >= 0) & in_window)[None]
    dtype = jnp.dtype(config.compute_dtype)
    with jax.default_matmul_precision(precision_of(dtype).name.lower()):
        out = jax.nn.dot_product_attention(
            q_BTNH.astype(dtype),
            k_BSKH.astype(dtype),
            v_BSKH.astype(dtype),
            mask=seen_BTS[:, None],
            is_causal=is_whole,  # cuDNN then leaves out what is hidden
            implementation="cudnn" if dtype == jnp.bfloat16 else "xla",
        )
    return out.astype(jnp.float32)


def splash_on_tpu(
    config: ModelConfig,
    q_BTNH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    queries: Segments,
    keys: Segments,
    where: RowPart,
    window: Window,
) -> jax.Array:
    """The Pallas kernel for bfloat16 rows that it can divide, else as on a CPU.

    It names no precision for its products, and a TPU rounds the inputs of such to
    bfloat16: what is to be computed in float32 is not left to it. It knows no prefixes;
    `segments.can_share_prefixes` is False on a TPU.
    """
    multiple = row_multiple(config, "tpu")
    is_divided = multiple > 1 and q_BTNH.shape[1] % multiple == 0
    kernel = splash if is_divided and queries.prefix_BT is None else blocked_softmax
    return kernel(config, q_BTNH, k_BSKH, v_BSKH, queries, keys, where, window)


def splash(
    config: ModelConfig,
    q_BTNH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    queries: Segments,
    keys: Segments,
    where: RowPart,
    window: Window,
) -> jax.Array:
    """`models.splash` with inputs of the compute type; T is a multiple of 128."""
    dtype = jnp.dtype(config.compute_dtype)
    return splash_attention(
        (q_BTNH * q_BTNH.shape[-1] ** -0.5).astype(dtype),
        k_BSKH.astype(dtype),
        v_BSKH.astype(dtype),
        queries.own_BT,
        keys.own_BT,
        part=where.part,
        num_parts=where.num_parts,
        window=window,
        windows=tuple(dict.fromkeys(config.windows)),
    )


def row_multiple(config: ModelConfig, platform: str) -> int:
    """Of what the positions of a row should be a multiple, for the best kernel."""
    is_splash = platform == "tpu" and config.compute_dtype == "bfloat16"
    return MIN_BLOCK if is_splash else 1


KERNELS: dict[str, Kernel] = {
    "cpu": blocked_softmax,
    "gpu": fused_on_gpu,
    "tpu": splash_on_tpu,
}
