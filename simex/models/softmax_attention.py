"""Softmax attention whose gradient is computed from the scores anew.

Automatic differentiation of a softmax keeps and passes over the [T, S] matrix about ten
times; on a CPU that, not the products, is most of a small train step. Here the backward
pass recomputes the weights from the stored log-normaliser, as FlashAttention does (Dao
et al. 2022, arXiv 2205.14135), and blocks of queries skip the keys that come after them.
Hence not `jax.nn.dot_product_attention`, as on a GPU (`models.kernels`): forwards and
backwards it took 1.8 times as long in float32 and 2.4 times in bfloat16 on a CPU core
(`python -m tests.benchmarks.training --only attention`; 4 rows of 512).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from simex.models.matmul import precision_of
from simex.models.segments import Segments

BLOCK = 128  # queries; a row of T positions computes (1 + BLOCK/T)/2 of its matrix
_MASKED = -1e30  # finite: a row that sees nothing softmaxes to numbers, not to NaN


Window = jax.Array | int | None


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def causal_attention(
    q_BKGTH: jax.Array,
    k_BKTH: jax.Array,
    v_BKTH: jax.Array,
    segments: Segments,
    dtype: str,
    window: Window = None,
) -> jax.Array:
    """softmax(q k') v, where t sees s <= t of its own segment and prefix.

    Args:
        q_BKGTH: queries, already scaled; G query heads share a kv head.
        k_BKTH: keys.
        v_BKTH: values.
        segments: of all positions.
        dtype: of the inputs of products; sums and the softmax are float32.
        window: t sees only s > t - window; an int or an int32 scalar. None: all.

    Returns:
        [B, K, G, T, H], float32.
    """
    return _forward(q_BKGTH, k_BKTH, v_BKTH, segments, dtype, window)[0]


def _forward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: Segments,
    dtype: str,
    window: Window = None,
) -> tuple[jax.Array, tuple[Any, ...]]:
    outs, norms = [], []
    for start, stop in _blocks(q.shape[3]):
        scores = _scores(q, k, segments, (start, stop), dtype, window)
        top = jnp.max(scores, axis=-1, keepdims=True)
        weights = jnp.exp(scores - top)
        total = jnp.sum(weights, axis=-1, keepdims=True)
        out = _dot("bkgts,bksh->bkgth", weights, v[:, :, :stop], dtype)
        outs.append(out / total)
        norms.append(top + jnp.log(total))
    out = jnp.concatenate(outs, axis=3)
    return out, (q, k, v, segments, window, out, jnp.concatenate(norms, axis=3))


def _backward(
    dtype: str, saved: tuple[Any, ...], grad: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None, None]:
    q, k, v, segments, window, out, norm = saved
    delta = jnp.sum(grad * out, axis=-1, keepdims=True)
    # Sums over blocks, in float32 whatever the keys and values come in.
    grad_q, grad_k, grad_v = [], *(jnp.zeros(x.shape, jnp.float32) for x in (k, v))
    for start, stop in _blocks(q.shape[3]):
        rows, seen = (..., slice(start, stop), slice(None)), slice(0, stop)
        scores = _scores(q, k, segments, (start, stop), dtype, window)
        weights = jnp.exp(scores - norm[rows])
        inner = _dot("bkgth,bksh->bkgts", grad[rows], v[:, :, seen], dtype)
        grad_scores = weights * (inner - delta[rows])
        grad_q.append(_dot("bkgts,bksh->bkgth", grad_scores, k[:, :, seen], dtype))
        grad_k = grad_k.at[:, :, seen].add(
            _dot("bkgts,bkgth->bksh", grad_scores, q[rows], dtype)
        )
        grad_v = grad_v.at[:, :, seen].add(
            _dot("bkgts,bkgth->bksh", weights, grad[rows], dtype)
        )
    grad_k, grad_v = grad_k.astype(k.dtype), grad_v.astype(v.dtype)
    return jnp.concatenate(grad_q, axis=3), grad_k, grad_v, None, None


causal_attention.defvjp(_forward, _backward)


def _blocks(T: int) -> list[tuple[int, int]]:
    return [(start, min(start + BLOCK, T)) for start in range(0, T, BLOCK)]


def _scores(
    q: jax.Array,
    k: jax.Array,
    segments: Segments,
    block: tuple[int, int],
    dtype: str,
    window: Window,
) -> jax.Array:
    """Masked scores of queries start..stop with keys 0..stop: [B, K, G, t, s]."""
    start, stop = block
    scores = _dot("bkgth,bksh->bkgts", q[:, :, :, start:stop], k[:, :, :stop], dtype)
    seen_Bts = segments.part(start, stop).sees(segments.part(0, stop))
    queries_1t1 = jnp.arange(start, stop)[None, :, None]
    keys_11s = jnp.arange(stop)[None, None]
    causal_1ts = queries_1t1 >= keys_11s
    if window is not None:
        causal_1ts &= queries_1t1 - keys_11s < window
    return jnp.where((seen_Bts & causal_1ts)[:, None, None], scores, _MASKED)


def _dot(equation: str, left: jax.Array, right: jax.Array, dtype: str) -> jax.Array:
    return jnp.einsum(
        equation,
        left.astype(dtype),
        right.astype(dtype),
        precision=precision_of(dtype),
        preferred_element_type=jnp.float32,
    )
