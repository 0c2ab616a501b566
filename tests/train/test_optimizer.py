"""Schedules, and which params Muon gets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.train.muon import _orthogonalise_tree
from simex.train.optimizer import OptimizerConfig, make_optimizer, make_schedule


def test_warm_up_climbs_then_a_cosine_falls_to_its_final_fraction() -> None:
    schedule = make_schedule(
        OptimizerConfig(
            learning_rate=1.0,
            warmup_steps=4,
            schedule="cosine",
            num_steps=14,
            final_fraction=0.1,
        )
    )
    # 1/4, 2/4, 3/4, 4/4, then from 1 to 0.1 in 10 updates; 0.55 is half way.
    rates = [float(schedule(step)) for step in (0, 1, 2, 3, 4, 9, 14)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 0.55, 0.1], rtol=1e-5)


def test_muon_turns_a_kernel_gradient_into_a_nearly_orthogonal_update() -> None:
    tx = make_optimizer(OptimizerConfig(learning_rate=1.0, clip_norm=1e9))
    kernel = jax.random.normal(jax.random.key(0), (6, 10))
    params = {"up": {"kernel": kernel}, "norm": {"scale": jnp.ones(6)}}
    updates, _ = jax.jit(lambda p: tx.update(p, tx.init(p), p))(params)
    # Singular values all near 0.2 sqrt(10) = 0.63; those of the gradient spread widely.
    values = np.linalg.svd(updates["up"]["kernel"], compute_uv=False)
    assert np.all((values > 0.4) & (values < 0.8))
    # AdamW's first update has size 1 x learning rate in every element.
    np.testing.assert_allclose(updates["norm"]["scale"], -1.0, rtol=1e-3)


def test_embeddings_and_the_head_are_left_to_adamw() -> None:
    tx = make_optimizer(OptimizerConfig(learning_rate=1.0, clip_norm=1e9))
    matrix = jax.random.normal(jax.random.key(0), (6, 10))
    params = {"embedder": {"embedding": matrix}, "head": {"kernel": matrix}}
    updates, _ = jax.jit(lambda p: tx.update(p, tx.init(p), p))(params)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_allclose(leaf, -jnp.sign(matrix), rtol=1e-3)


def test_gradients_are_clipped_by_their_norm_over_all_params() -> None:
    """AdamW's two moments of a gradient g of norm 1, then one of -100 g, clipped to -g.

    m = 0.9 * 0.1 g - 0.1 g = -0.01 g, over 1 - 0.9^2; v = (0.95 * 0.05 + 0.05) g^2, over
    1 - 0.95^2: 1 g^2. So the second update is 0.01 / 0.19 of the learning rate.
    """
    tx = make_optimizer(OptimizerConfig(name="adamw", learning_rate=1.0, clip_norm=1.0))
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    state = tx.init(params)
    for a, b in ((0.6, 0.8), (-60.0, -80.0)):
        grads = {"a": jnp.array([a]), "b": jnp.array([b])}
        updates, state = jax.jit(tx.update)(grads, state, params)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_allclose(leaf, 0.01 / 0.19, rtol=1e-4)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_weight_decay_shrinks_kernels_and_nothing_else(name) -> None:
    config = OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.5)
    tx, matrix = make_optimizer(config), jnp.ones((2, 3))
    params = {
        "up": {"kernel": matrix},
        "head": {"kernel": matrix},
        "embedder": {"embedding": matrix},
        "norm": {"scale": jnp.ones(3)},
    }
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = jax.jit(lambda p: tx.update(zeros, tx.init(p), p))(params)
    # Without a gradient only the decay moves anything: by 0.1 * 0.5 of the kernel.
    np.testing.assert_allclose(updates.pop("up")["kernel"], -0.05, rtol=1e-6)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adam"}, "muon, adamw"),
        ({"schedule": "cosin"}, "constant, cosine, linear"),
        ({"schedule": "cosine", "num_steps": 5, "warmup_steps": 5}, "num_steps"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ],
)
def test_impossible_settings_are_refused(settings, message) -> None:
    with pytest.raises(UserError, match=message):
        OptimizerConfig(**settings)


def test_a_stack_of_experts_is_one_batch_and_each_matrix_as_if_alone() -> None:
    draw = np.random.default_rng(0).normal

    def make(num_layers, num_experts):
        sizes = {"up": (num_layers, num_experts, 6, 10), "q": (num_layers, 10, 6)}
        return {name: jnp.array(draw(size=s), jnp.float32) for name, s in sizes.items()}

    stacked = make(2, 3) | {"o": jnp.array(draw(size=(6, 10)), jnp.float32)}
    alone = {
        "up": [[stacked["up"][i, j] for j in range(3)] for i in range(2)],
        "q": [stacked["q"][i] for i in range(2)],
        "o": stacked["o"],
    }
    run = jax.jit(lambda tree: _orthogonalise_tree(tree, "float32", None))
    found, expected = run(stacked), run(alone)
    for name, matrices in found.items():
        np.testing.assert_allclose(matrices, jnp.array(expected[name]), rtol=1e-6)
    # 2 x 64 experts are no larger a program than 2 x 3.
    size = lambda tree: len(
        jax.make_jaxpr(run)(tree).jaxpr.eqns[0].params["jaxpr"].eqns
    )
    assert size(make(2, 64)) == size(make(2, 3))
