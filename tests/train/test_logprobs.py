"""Logprobs and entropy against numpy, aligned with tokens, in chunks or at once."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from simex.models import embedding
from simex.models.config import ModelConfig
from simex.models.transformer import forward, init_params, logits
from simex.train.logprobs import token_logprobs
from simex.train.muon import orthogonalise

CONFIG = ModelConfig(
    vocab_size=32,
    d_model=16,
    num_layers=1,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=8,
    d_ff=24,
)
# Two segments of 5 and 4 tokens, then 3 of padding.
BATCH = {
    "tokens": jnp.array([[7, 8, 9, 6, 5, 11, 12, 13, 14, 0, 0, 0]] * 2, jnp.int32),
    "segment_ids": jnp.array([[1] * 5 + [2] * 4 + [0] * 3] * 2, jnp.int32),
    "positions": jnp.array([[0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 0, 0]] * 2, jnp.int32),
}


@functools.cache
def _params():
    params = init_params(CONFIG, jax.random.key(0))
    params["embedder"]["embedding"] *= 20  # far from uniform
    return params


@functools.partial(jax.jit, static_argnames="max_chunk_logits")
def _score(params, temperature, max_chunk_logits=2**20):
    return token_logprobs(
        CONFIG,
        params,
        BATCH,
        temperature=temperature,
        max_chunk_logits=max_chunk_logits,
    )


def test_logprobs_and_entropy_equal_a_slow_reference() -> None:
    logprobs, entropy = _score(_params(), 0.7)
    hidden = jax.jit(functools.partial(forward, CONFIG))(
        _params(),
        tokens_BT=BATCH["tokens"],
        segment_ids_BT=BATCH["segment_ids"],
        positions_BT=BATCH["positions"],
    )
    scaled = np.asarray(logits(CONFIG, _params(), hidden), np.float64)[0] / 0.7
    expected = np.zeros((2, 12))
    for t in (1, 2, 3, 4, 6, 7, 8):  # not at 0 and 5, where segments begin
        p = np.exp(scaled[t - 1]) / np.exp(scaled[t - 1]).sum()
        expected[:, t] = np.log(p[BATCH["tokens"][0, t]]), -(p * np.log(p)).sum()
    np.testing.assert_allclose(logprobs[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(entropy[0], expected[1], atol=1e-5)


def test_chunks_change_neither_values_nor_gradients() -> None:
    def total(params, max_chunk_logits):
        logprobs, entropy = _score(params, 1.0, max_chunk_logits)
        return jnp.sum(logprobs) + 0.1 * jnp.sum(entropy)

    # 2 rows x 12 positions x 32 = 768 logits; at most 256 of them make 3 chunks.
    whole = jax.value_and_grad(total)(_params(), 2**20)
    chunked = jax.value_and_grad(total)(_params(), 256)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(chunked)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_large_vocabulary_never_meets_all_positions_at_once(monkeypatch) -> None:
    # Nor may the gradient of the lookup: at this limit it is a scatter.
    monkeypatch.setattr(embedding, "MAX_ONE_HOT", 0)

    def total(params):
        return jnp.sum(token_logprobs(CONFIG, params, BATCH, max_chunk_logits=256)[0])

    program = str(jax.make_jaxpr(jax.grad(total))(_params()))
    assert "f32[2,4,32]" in program  # a chunk of 4 positions
    assert "f32[2,12,32]" not in program


def products(jaxpr):
    """Every dot_general of a program, those inside of others too."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found.append(equation)
        for inner in jaxprs_in_params(equation.params):
            found += products(inner)
    return found


def gradient_of_a_loss(dtype):
    config = dataclasses.replace(CONFIG, compute_dtype=dtype)

    def loss(params):
        return jnp.sum(token_logprobs(config, params, BATCH)[0])

    return jax.make_jaxpr(jax.grad(loss))(_params())


def newton_schulz(dtype):
    stack_NIO = jnp.ones((2, 3, 4))
    return jax.make_jaxpr(functools.partial(orthogonalise, dtype=dtype))(stack_NIO)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("make", "least"), [(gradient_of_a_loss, 3 * 8), (newton_schulz, 3)]
)
def test_no_float32_product_rounds_its_inputs(make, least, dtype):
    """Read off the program, since a CPU would not round: accelerators do.

    A product of the forward pass (7 kernels and the output layer) has two gradients.
    """
    found = products(make(dtype).jaxpr)
    assert len(found) >= least
    for equation in found:
        assert equation.params["preferred_element_type"] == jnp.float32
        if equation.invars[0].aval.dtype == jnp.float32:
            precision = (jax.lax.Precision.HIGHEST,) * 2
            assert equation.params["precision"] == precision, equation
