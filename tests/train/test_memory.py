"""What an update holds in memory, read from its compiled program."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.sharding.mesh import make_mesh, put_batch
from simex.train.accumulate import make_accumulator
from simex.train.logprobs import token_logprobs
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import make_train_state, state_shardings
from simex.train.step import make_train_step

SMALL = ModelConfig(
    vocab_size=64,
    d_model=16,
    num_layers=1,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=8,
    d_ff=24,
)
LARGE_VOCABULARY = ModelConfig(**{**vars(SMALL), "vocab_size": 151_936})
B, T = 2, 512


def _loss_fn(config: ModelConfig):
    def loss_fn(params, batch):
        logprobs, entropy = token_logprobs(config, params, batch)
        mask = batch["loss_mask"]
        loss = -jnp.sum(logprobs * mask) + 0.1 * jnp.sum(entropy)
        return loss, jnp.sum(mask), {}

    return loss_fn


def _batch(num_positions: int = T) -> dict[str, np.ndarray]:
    tokens = np.arange(B * num_positions, dtype=np.int32).reshape(B, -1) % 64
    return {
        "tokens": tokens,
        "segment_ids": np.ones_like(tokens),
        "positions": np.tile(np.arange(num_positions, dtype=np.int32), (B, 1)),
        "loss_mask": np.ones(tokens.shape, np.float32),
    }


def _largest_array(program: str) -> int:
    """Elements of the largest array of a compiled program."""
    shapes = re.findall(r"\b(?:f32|bf16|s32|pred)\[([\d,]+)\]", program)
    return max(int(np.prod([int(n) for n in shape.split(",")])) for shape in shapes)


@pytest.mark.parametrize("is_trained", [False, True])
def test_no_array_holds_the_logits_of_all_positions_of_150k_tokens(is_trained) -> None:
    loss_fn = _loss_fn(LARGE_VOCABULARY)

    def program(params, batch):
        if is_trained:
            return jax.grad(lambda params: loss_fn(params, batch)[0])(params)
        return loss_fn(params, batch)[0]

    params = jax.eval_shape(lambda: init_params(LARGE_VOCABULARY, jax.random.key(0)))
    compiled = jax.jit(program).lower(params, _batch()).compile()
    # 2 x 512 positions are taken in 16 chunks of 2 x 32.
    all_logits = B * T * LARGE_VOCABULARY.vocab_size
    assert _largest_array(compiled.as_text()) == all_logits // 16
    # Forwards one chunk of logits and its softmax; backwards a few more, and gradients.
    temporary_bytes = compiled.memory_analysis().temp_size_in_bytes
    assert temporary_bytes < 4 * all_logits // (2 if is_trained else 4)


@pytest.fixture(scope="module")
def trainer():
    mesh = make_mesh(devices=jax.devices()[:1])
    tx = make_optimizer(OptimizerConfig(name="adamw"), mesh)
    return mesh, tx, state_shardings(SMALL, tx, mesh)


def test_the_state_is_updated_where_it_lies(trainer) -> None:
    mesh, tx, shardings = trainer
    step = make_train_step(_loss_fn(SMALL), tx, mesh, shardings=shardings)
    state = make_train_state(SMALL, tx, mesh, key=jax.random.key(0))
    batch = put_batch(_batch(16), mesh)
    sizes = [leaf.nbytes for leaf in jax.tree.leaves(state)]
    compiled = step.lower(state, batch).compile()
    assert compiled.memory_analysis().alias_size_in_bytes >= sum(sizes)
    step(state, batch)  # a donated array that is of no use would warn, which raises
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_sums_of_gradients_grow_where_they_lie(trainer) -> None:
    mesh, tx, shardings = trainer
    accumulator = make_accumulator(_loss_fn(SMALL), tx, mesh, shardings=shardings)
    state = make_train_state(SMALL, tx, mesh, key=jax.random.key(0))
    batch = put_batch(_batch(16), mesh)
    first = accumulator.first(state.params, batch)
    second = accumulator.add(first, state.params, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first[0]))
    accumulator.apply(state, second, jnp.float32(2.0))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
