"""Products whose inputs are rounded and whose sums are not, with both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.models.matmul import kept_dtype, matmul
from simex.models.swiglu import swiglu
from simex.sharding.activations import placed
from simex.sharding.mesh import make_mesh


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


def test_what_a_gpu_keeps_between_products_is_rounded(monkeypatch) -> None:
    # Pretends that the mesh is a GPU's; the products themselves run on the CPU.
    mesh = make_mesh(devices=jax.devices()[:1])
    assert kept_dtype("bfloat16") == "float32"
    with placed(mesh):
        assert kept_dtype("bfloat16") == "float32"
        monkeypatch.setattr("simex.models.matmul.platform_of", lambda mesh: "gpu")
        assert kept_dtype("bfloat16") == "bfloat16"
        assert kept_dtype("float32") == "float32"


def test_a_rounded_product_has_the_same_sums_and_gradients_of_its_inputs_types() -> (
    None
):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 40, 8)).astype("bfloat16")
    kernel = jax.random.normal(keys[1], (8, 24))
    grad = jax.random.normal(keys[2], (2, 40, 24)).astype("bfloat16")

    def product(x, kernel, out_dtype):
        return matmul(x, kernel, compute_dtype="bfloat16", out_dtype=out_dtype)

    y, pull = jax.vjp(lambda x, k: product(x, k, "bfloat16"), x, kernel)
    wide, pull_wide = jax.vjp(lambda x, k: product(x, k, "float32"), x, kernel)
    assert y.dtype == "bfloat16" and wide.dtype == "float32"
    # Half a step of bfloat16, which has 8 significant bits: 2^-9 of the value.
    np.testing.assert_allclose(y.astype("float32"), wide, rtol=2**-8, atol=1e-6)
    grad_x, grad_kernel = pull(grad)
    wide_x, wide_kernel = pull_wide(grad.astype("float32"))
    assert grad_x.dtype == "bfloat16" and grad_kernel.dtype == "float32"
    np.testing.assert_array_equal(grad_x, wide_x)
    np.testing.assert_array_equal(grad_kernel, wide_kernel)


def test_swiglu_of_rounded_inputs_is_computed_in_float32() -> None:
    gate, up, grad = (
        jax.random.normal(key, (64,)).astype("bfloat16")
        for key in jax.random.split(jax.random.key(1), 3)
    )
    y, pull = jax.vjp(swiglu, gate, up)
    wide = [x.astype("float32") for x in (gate, up)]
    expected, pull_wide = jax.vjp(swiglu, *wide)
    np.testing.assert_array_equal(y, expected.astype("bfloat16"))
    for got, want in zip(pull(grad), pull_wide(grad.astype("float32")), strict=True):
        np.testing.assert_array_equal(got, want.astype("bfloat16"))
