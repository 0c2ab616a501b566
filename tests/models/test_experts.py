"""Routing and sums of a mixture of experts are float32 on every platform."""

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.experts import Experts

EXPERTS = ExpertsConfig(num_experts=4, num_per_token=2, d_ff=12)


def products(jaxpr, name):
    """The params of every equation of that name, those inside of others too."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            found.append(equation.params)
        for inner in jaxprs_in_params(equation.params):
            found += products(inner, name)
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
    x = jnp.ones((1, 3, 8))
    params = layer.init(jax.random.key(0), x)
    program = jax.make_jaxpr(layer.apply)(params, x)
    (router,) = products(program.jaxpr, "dot_general")
    assert router["precision"] == (jax.lax.Precision.HIGHEST,) * 2
    grouped = products(program.jaxpr, "ragged_dot_general")
    assert len(grouped) == 3  # gate, up, down
    for product in grouped:
        assert product["precision"] == (of_experts,) * 2
        assert product["preferred_element_type"] == jnp.float32
    out = layer.apply(params, x)
    assert out.dtype == jnp.float32 and bool(jnp.isfinite(out).all())
