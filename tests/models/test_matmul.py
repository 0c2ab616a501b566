"""Products whose inputs are rounded and whose sums are not, with both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.models.matmul import matmul


def _rounded(x: jax.Array, dtype: str) -> np.ndarray:
    return np.asarray(x.astype(dtype).astype(jnp.float32), np.float64)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("num_in", "num_out"), [(8, 24), (24, 8)])
def test_inputs_are_rounded_and_sums_are_float32(num_in, num_out, dtype) -> None:
    # Gradients of wide and of narrow kernels take different ways.
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 40, num_in))
    kernel = jax.random.normal(keys[1], (num_in, num_out))
    grad = jax.random.normal(keys[2], (2, 40, num_out))

    @jax.jit
    def run(x, kernel, grad):
        y, pull = jax.vjp(lambda x, k: matmul(x, k, compute_dtype=dtype), x, kernel)
        return y, *pull(grad)

    y, grad_x, grad_kernel = run(x, kernel, grad)
    x, kernel, grad = (_rounded(a, dtype) for a in (x, kernel, grad))
    np.testing.assert_allclose(y, x @ kernel, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(grad_x, grad @ kernel.T, rtol=1e-5, atol=1e-5)
    expected = np.einsum("bti,bto->io", x, grad)
    np.testing.assert_allclose(grad_kernel, expected, rtol=1e-5, atol=2e-5)


def test_the_gradient_of_a_turned_kernel_is_turned_back() -> None:
    # As with tied embeddings: the output layer reads [V, D] as [D, V].
    x, grad = jnp.ones((1, 4, 8)), jnp.ones((1, 4, 24))
    for dtype in ("float32", "bfloat16"):

        @jax.jit
        def run(kernel_VD, dtype=dtype):
            def product(kernel_VD):
                return matmul(x, kernel_VD.T, compute_dtype=dtype)

            return jax.vjp(product, kernel_VD)[1](grad)[0]

        np.testing.assert_array_equal(run(jnp.ones((24, 8))), np.full((24, 8), 4.0))
