"""Gradients of the blocked softmax are summed in float32."""

import jax
import jax.numpy as jnp
import numpy as np

from simex.models.segments import Segments
from simex.models.softmax_attention import BLOCK, causal_attention

T = 2 * BLOCK


def test_gradients_of_bfloat16_keys_are_rounded_once() -> None:
    """The same numbers in float32 give the same gradients before that rounding."""
    draws = jax.random.split(jax.random.key(0), 4)
    q, grad = (jax.random.normal(draw, (1, 1, 1, T, 8)) for draw in draws[:2])
    k, v = (
        jax.random.normal(draw, (1, 1, T, 8)).astype(jnp.bfloat16) for draw in draws[2:]
    )
    segments = Segments(jnp.ones((1, T), jnp.int32))

    @jax.jit
    def gradients(k, v):
        attend = lambda k, v: causal_attention(q, k, v, segments, "bfloat16", None)
        return jax.vjp(attend, k, v)[1](grad)

    found = gradients(k, v)
    exact = gradients(k.astype(jnp.float32), v.astype(jnp.float32))
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == jnp.bfloat16 and other.dtype == jnp.float32
        np.testing.assert_array_equal(one, other.astype(jnp.bfloat16))
