"""Choosing tokens: truncation, the drawn distribution and its logprobs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.sampling.keys import path_key, position_uniforms
from simex.sampling.methods import SamplingMethod, _invert, choose_tokens

# Probabilities 0.5, 0.25, 0.15, 0.1 at temperature 1, in shuffled places.
PROBABILITIES = np.array([0.15, 0.5, 0.1, 0.25], np.float32)


@functools.partial(jax.jit, static_argnames=("temperature", "top_p", "top_k"))
def _draw(logits, uniforms, temperature=1.0, top_p=1.0, top_k=0):
    rows = uniforms.shape[0]
    return choose_tokens(
        jnp.tile(logits[None], (rows, 1)),
        uniforms,
        temperature_B=jnp.full(rows, temperature, jnp.float32),
        top_p_B=jnp.full(rows, top_p, jnp.float32),
        top_k_B=jnp.full(rows, top_k, jnp.int32),
    )


def _shares(tokens, size: int = 4) -> np.ndarray:
    return np.bincount(tokens, minlength=size) / len(tokens)


EVEN = (jnp.arange(1000, dtype=jnp.float32) + 0.5) / 1000


def test_even_uniforms_reproduce_the_distribution() -> None:
    choice = _draw(jnp.log(PROBABILITIES), EVEN)
    np.testing.assert_allclose(_shares(choice.tokens_B), PROBABILITIES, atol=2e-3)
    np.testing.assert_allclose(
        choice.logprobs_B, np.log(PROBABILITIES)[choice.tokens_B], atol=1e-6
    )
    np.testing.assert_array_equal(choice.log_kept_B, 0.0)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"top_k": 2}, [0, 0.5, 0, 0.25]),
        ({"top_p": 0.7}, [0, 0.5, 0, 0.25]),  # 0.5 is not enough, 0.75 is
        ({"top_p": 0.5}, [0, 0.5, 0, 0]),
        ({"top_p": 0.01}, [0, 0.5, 0, 0]),
        # Top-k leaves 0.9; 0.6 of that is 0.54, so the two largest stay.
        ({"top_k": 3, "top_p": 0.6}, [0, 0.5, 0, 0.25]),
    ],
)
def test_truncation_keeps_the_likeliest_and_tells_their_mass(settings, kept) -> None:
    choice = _draw(jnp.log(PROBABILITIES), EVEN, **settings)
    expected = np.array(kept) / np.sum(kept)
    np.testing.assert_allclose(_shares(choice.tokens_B), expected, atol=2e-3)
    np.testing.assert_allclose(choice.log_kept_B, np.log(np.sum(kept)), atol=1e-5)
    # Logprobs are still those of the whole policy.
    np.testing.assert_allclose(
        choice.logprobs_B, np.log(PROBABILITIES)[choice.tokens_B], atol=1e-6
    )


def test_temperature_zero_takes_the_likeliest_with_its_plain_logprob() -> None:
    choice = _draw(jnp.log(PROBABILITIES), EVEN, temperature=0.0)
    np.testing.assert_array_equal(choice.tokens_B, 1)
    np.testing.assert_allclose(choice.logprobs_B, np.log(0.5), atol=1e-6)


def test_a_vocabulary_that_fills_no_whole_block_is_drawn_rightly() -> None:
    logits = jnp.array(np.random.default_rng(0).normal(size=1003) * 2, jnp.float32)
    uniforms = (jnp.arange(50_000, dtype=jnp.float32) + 0.5) / 50_000
    choice = jax.jit(_draw)(logits, uniforms)
    np.testing.assert_allclose(
        _shares(choice.tokens_B, 1003), jax.nn.softmax(logits), atol=5e-5
    )


def test_the_largest_uniform_never_falls_off_the_end() -> None:
    almost_one = jnp.array([1 - 2**-24], jnp.float32)
    logits = jnp.log(jnp.array([0.3, 0.7, 1e-30, 1e-30, 1e-30]))
    assert int(_draw(logits, almost_one, top_k=2).tokens_B[0]) == 1


def test_uniforms_depend_on_path_and_position_only() -> None:
    keys = jnp.array(np.stack([path_key((0, 1)), path_key((0, 2)), path_key((0, 1))]))
    draw = jax.jit(position_uniforms)
    first = draw(keys, jnp.array([3, 3, 4], jnp.int32))
    assert len(set(first.tolist())) == 3
    again = draw(keys[::-1], jnp.array([4, 3, 3], jnp.int32))
    np.testing.assert_array_equal(first, again[::-1])


@pytest.mark.parametrize(
    "settings", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}]
)
def test_settings_outside_their_range_are_refused(settings) -> None:
    with pytest.raises(UserError, match="must be"):
        SamplingMethod(**settings)


def test_rounding_never_draws_what_was_removed() -> None:
    """Targets at the ends of blocks of 4, of which the next begins with removed tokens.

    The start of a block is its end less its weight, which rounding puts above the end
    of the one before in about every tenth case.
    """
    random = np.random.default_rng(0)
    weights_BV = random.random((2000, 16), np.float32)
    weights_BV[random.random((2000, 16)) < 0.4] = 0
    weights_BV[:, ::4] = 0
    weights_BV[:, 1] = 0.1
    ends_BM = np.cumsum(weights_BV.reshape(2000, 4, 4).sum(-1), axis=-1)
    draw = jax.jit(_invert)
    for end_B in ends_BM.T[:-1]:
        drawn_B = draw(jnp.asarray(weights_BV), jnp.asarray(end_B / ends_BM[:, -1]))
        assert np.all(weights_BV[np.arange(2000), drawn_B] > 0)
