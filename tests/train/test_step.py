"""One update: sums first, one division, one compile, the same on every mesh."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.sharding.mesh import MeshConfig, make_mesh, put_batch
from simex.train.logprobs import token_logprobs
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import make_train_state, state_shardings
from simex.train.step import make_train_step

CONFIG = ModelConfig(
    vocab_size=16,
    d_model=16,
    num_layers=1,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=8,
    d_ff=24,
)


def _loss_fn(params, batch):
    logprobs, entropy = token_logprobs(CONFIG, params, batch)
    mask = batch["loss_mask"]
    weight = jnp.sum(mask)
    return -jnp.sum(logprobs * mask), weight, {"entropy": (jnp.sum(entropy), weight)}


def _batch(rows: int = 8, *, mask: float = 1.0) -> dict[str, np.ndarray]:
    """Rows that count upwards modulo 7; their weights differ from row to row."""
    first = np.arange(rows, dtype=np.int32)[:, None]
    tokens = 5 + (first + np.arange(12, dtype=np.int32)) % 7
    weights = np.where(np.arange(12) < 4 + first, mask, 0.0)
    return {
        "tokens": tokens.astype(np.int32),
        "segment_ids": np.ones((rows, 12), np.int32),
        "positions": np.repeat(np.arange(12, dtype=np.int32)[None], rows, axis=0),
        "loss_mask": weights.astype(np.float32),
    }


@functools.cache
def _trainer(
    mesh_config: MeshConfig = MeshConfig(),
    name: str = "adamw",
    num_micro_batches: int = 1,
    num_devices: int = 8,
):
    mesh = make_mesh(mesh_config, devices=jax.devices()[:num_devices])
    tx = make_optimizer(
        OptimizerConfig(
            name=name, learning_rate=1e-2, weight_decay=0.01, muon_dtype="float32"
        ),
        mesh,
    )
    step = make_train_step(
        _loss_fn,
        tx,
        mesh,
        shardings=state_shardings(CONFIG, tx, mesh),
        num_micro_batches=num_micro_batches,
    )
    make = functools.partial(make_train_state, CONFIG, tx, mesh, key=jax.random.key(0))
    return mesh, make, step


def _run(num_steps: int, batch: dict[str, np.ndarray], **trainer):
    mesh, make, step = _trainer(**trainer)
    state = make()
    losses = []
    for _ in range(num_steps):
        state, metrics = step(state, put_batch(batch, mesh))
        total, weight = metrics["loss"]
        losses.append(float(total) / max(1.0, float(weight)))
    return state, losses, metrics


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_the_loss_of_a_counting_sequence_falls(name) -> None:
    _, losses, _ = _run(30, _batch(), name=name, num_devices=1)
    assert losses[0] == pytest.approx(np.log(16), abs=0.5)  # nearly uniform at first
    assert losses[-1] < 0.5 * losses[0]


def test_three_steps_compile_once_on_a_sharded_mesh() -> None:
    mesh_config = MeshConfig(data=2, fsdp=2, tensor=2)
    _run(3, _batch(), mesh_config=mesh_config, name="muon")
    step = _trainer(mesh_config=mesh_config, name="muon")[2]
    assert step._cache_size() == 1


def test_moments_are_sharded_like_their_params() -> None:
    _, make, _ = _trainer(mesh_config=MeshConfig(data=2, fsdp=2, tensor=2), name="muon")
    state = make()
    where = state.params["layer_0"]["feed_forward"]["up"]["kernel"].sharding
    same = [
        leaf.sharding.is_equivalent_to(where, 2)
        for leaf in jax.tree.leaves(state.opt_state)
        if leaf.shape == (16, 24)
    ]
    assert len(same) == 2 and all(same)  # momentum of `gate` and of `up`


def test_accumulated_gradients_equal_those_of_one_large_batch() -> None:
    at_once, _, metrics = _run(2, _batch(), num_devices=2)
    in_parts, _, parts = _run(2, _batch(), num_devices=2, num_micro_batches=4)
    for a, b in zip(jax.tree.leaves(at_once.params), jax.tree.leaves(in_parts.params)):
        np.testing.assert_allclose(a, b, atol=2e-5)
    for name in ("loss", "entropy", "grad_norm"):
        np.testing.assert_allclose(metrics[name], parts[name], rtol=1e-4)


def test_one_device_and_eight_reach_the_same_params() -> None:
    alone, losses, _ = _run(2, _batch(), num_devices=1, name="muon")
    sharded, same_losses, _ = _run(
        2, _batch(), mesh_config=MeshConfig(data=2, fsdp=2, tensor=2), name="muon"
    )
    np.testing.assert_allclose(losses, same_losses, atol=1e-5)
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(sharded.params)):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_batch_without_weight_has_loss_and_gradient_zero() -> None:
    state, losses, metrics = _run(1, _batch(mask=0.0), num_devices=2)
    assert losses == [0.0]
    assert float(metrics["grad_norm"][0]) == 0.0
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(state.params))


def test_rows_that_do_not_split_into_micro_batches_are_refused() -> None:
    mesh, make, step = _trainer(num_devices=2, num_micro_batches=4)
    with pytest.raises(UserError, match="4 rows must divide over 4 micro-batches x 2"):
        step(make(), put_batch(_batch(4), mesh))
