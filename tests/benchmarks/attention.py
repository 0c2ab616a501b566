"""The CPU's attention beside `jax.nn.dot_product_attention`, one device, one thread."""

import functools
import time

from tests.benchmarks.trainers import prepare_jax
from tests.benchmarks.turns import Round

B, T, K, G, H = 4, 512, 2, 3, 64


def make_attention(cache: str) -> Round:
    """Both, in both types, with two segments a row: output and all gradients."""
    prepare_jax(cache)
    import jax
    import jax.numpy as jnp

    from simex.models.softmax_attention import causal_attention

    keys = jax.random.split(jax.random.key(0), 4)
    shapes = ((B, T, K * G, H), (B, T, K, H), (B, T, K, H), (B, T, K * G, H))
    q, k, v, grad = (jax.random.normal(*pair) for pair in zip(keys, shapes))
    segments = jnp.where(jnp.arange(T) < T // 3, 1, 2)[None].repeat(B, axis=0)

    def ours(dtype: str, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        grouped = q.reshape(B, T, K, G, H).transpose(0, 2, 3, 1, 4) * H**-0.5
        out = causal_attention(
            grouped, k.swapaxes(1, 2), v.swapaxes(1, 2), segments, dtype, None
        )
        return out.transpose(0, 3, 1, 2, 4).reshape(q.shape)

    def jaxs(dtype: str, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        same = segments[:, :, None] == segments[:, None, :]
        causal = jnp.tril(jnp.ones((T, T), bool))[None]
        q, k, v = (x.astype(dtype) for x in (q, k, v))
        out = jax.nn.dot_product_attention(q, k, v, mask=(same & causal)[:, None])
        return out.astype(jnp.float32)

    programs = {
        f"{name} {dtype}": jax.jit(
            lambda q, k, v, grad, f=functools.partial(f, dtype): jax.vjp(f, q, k, v)[1](
                grad
            )
        )
        for dtype in ("float32", "bfloat16")
        for name, f in (("ours", ours), ("dot_product_attention", jaxs))
    }

    def play(number: int) -> dict[str, float]:
        figures = {}
        for name, program in programs.items():
            begin = time.perf_counter()
            jax.block_until_ready(program(q, k, v, grad))
            figures[name] = time.perf_counter() - begin
        return figures

    return play
