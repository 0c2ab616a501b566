"""Routing and sums of a mixture of experts are float32 on every platform."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.experts import Experts

EXPERTS = ExpertsConfig(num_experts=4, num_per_token=2, d_ff=12)


def make_layer(dtype):
    config = ModelConfig(
        vocab_size=32,
        d_model=8,
        num_layers=1,
        num_query_heads=1,
        num_kv_heads=1,
        head_dim=8,
        d_ff=12,
        experts=EXPERTS,
        compute_dtype=dtype,
    )
    layer = Experts(config, EXPERTS, 1.0)
    x = jax.random.normal(jax.random.key(1), (1, 5, 8))
    return layer, x, layer.init(jax.random.key(0), x)


def equations(jaxpr, name):
    """Every equation of that name, those inside of others too."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            found.append(equation)
        for inner in jaxprs_in_params(equation.params):
            found += equations(inner, name)
    return found


@pytest.mark.parametrize(
    ("dtype", "of_experts"),
    [
        ("float32", jax.lax.Precision.HIGHEST),
        ("bfloat16", jax.lax.Precision.DEFAULT),
    ],
)
def test_the_router_is_never_rounded_and_experts_sum_in_float32(dtype, of_experts):
    """Read off the program, since a CPU would not round: accelerators do."""
    layer, x, params = make_layer(dtype)
    program = jax.make_jaxpr(layer.apply)(params, x)
    (router,) = [e.params for e in equations(program.jaxpr, "dot_general")]
    assert router["precision"] == (jax.lax.Precision.HIGHEST,) * 2
    grouped = [e.params for e in equations(program.jaxpr, "ragged_dot_general")]
    assert len(grouped) == 3  # gate, up, down
    for product in grouped:
        assert product["precision"] == (of_experts,) * 2
        assert product["preferred_element_type"] == jnp.float32
    out = layer.apply(params, x)
    assert out.dtype == jnp.float32 and bool(jnp.isfinite(out).all())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_of_experts_are_products_of_the_compute_type(dtype):
    layer, x, params = make_layer(dtype)
    program = jax.make_jaxpr(jax.grad(lambda p: layer.apply(p, x).sum()))(params)
    products = equations(program.jaxpr, "ragged_dot_general")
    found = [tuple(v.aval.dtype.name for v in e.invars[:2]) for e in products]
    # Forwards gate, up and down; backwards the gradients of their rows and kernels, but
    # for the rows that the layer itself was given, of which no gradient is asked.
    assert len(found) >= 3 + 4 and set(found) == {(dtype, dtype)}


def test_gradients_of_experts_are_those_of_a_loop_over_experts():
    layer, x, params = make_layer("float32")

    def by_loop(params):
        kernels = {k: v["kernel"] for k, v in params["params"].items() if k != "router"}
        rows = x.reshape(-1, x.shape[-1])
        scores = jax.nn.softmax(rows @ params["params"]["router"], axis=-1)
        weights, chosen = jax.lax.top_k(scores, EXPERTS.num_per_token)
        weights = weights / weights.sum(-1, keepdims=True)
        total = jnp.zeros_like(rows)
        for e in range(EXPERTS.num_experts):
            inner = jax.nn.silu(rows @ kernels["gate"][e]) * (rows @ kernels["up"][e])
            share = jnp.where(chosen == e, weights, 0.0).sum(-1, keepdims=True)
            total += share * (inner @ kernels["down"][e])
        return jnp.square(total).sum()

    params = nn.unbox(params)
    got = jax.grad(lambda p: jnp.square(layer.apply(p, x)).sum())(params)
    for a, b in zip(jax.tree.leaves(jax.grad(by_loop)(params)), jax.tree.leaves(got)):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
