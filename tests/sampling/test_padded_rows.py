"""Rows of the embedding beyond the tokenizer's ids have no part in any distribution."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.models.transformer import init_params
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest
from simex.sharding.mesh import make_mesh
from simex.train.logprobs import token_logprobs
from tests.sampling.test_sampler import CONFIG

NUM_IDS = 20  # of 32 rows
PADDED = dataclasses.replace(CONFIG, num_ids=NUM_IDS)
UNTIED = dataclasses.replace(PADDED, tie_embeddings=False)
PROMPT, NUM_NEW = [5, 6, 7], 12


@functools.cache
def _params(config):
    params = init_params(config, jax.random.key(0))
    if config.tie_embeddings:
        params["embedder"]["embedding"] *= 20
    # As after an import: whatever the padding holds, here logits far above the others.
    kernel = jnp.abs(params["final_norm"]["scale"][:, None])
    if not config.tie_embeddings:
        params["head"]["kernel"] = params["head"]["kernel"].at[:, NUM_IDS:].add(kernel)
    return params


@functools.cache
def _samples(config, method):
    sampler = Sampler(
        config,
        make_mesh(devices=jax.devices()[:1]),
        num_slots=16,
        max_prompt_len=8,
        max_total_len=24,
        chunk_steps=4,
    )
    requests = [
        SampleRequest(prompt_ids=PROMPT, max_new_tokens=NUM_NEW, seed_path=(0, number))
        for number in range(16)
    ]
    return sampler.sample(_params(config), requests, method)


@functools.partial(jax.jit, static_argnums=0)
def _score(config, params, tokens_BT, temperature):
    batch = {
        "tokens": tokens_BT,
        "segment_ids": jnp.ones_like(tokens_BT),
        "positions": jnp.tile(
            jnp.arange(tokens_BT.shape[1], dtype=jnp.int32), (len(tokens_BT), 1)
        ),
    }
    return token_logprobs(config, params, batch, temperature=temperature)


@pytest.mark.parametrize("config", [PADDED, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "method",
    [
        SamplingMethod(),
        SamplingMethod(temperature=0.0),
        SamplingMethod(temperature=0.7, top_p=0.9),
        SamplingMethod(top_k=NUM_IDS),
    ],
    ids=str,
)
def test_a_row_without_an_id_is_never_sampled_and_the_trainer_agrees(config, method):
    samples = _samples(config, method)
    assert max(int(sample.ids.max()) for sample in samples) < NUM_IDS
    rows = np.array([[*PROMPT, *sample.ids] for sample in samples], np.int32)
    temperature = method.temperature or 1.0
    logprobs_BT, _ = _score(config, _params(config), rows, temperature)
    for sample, expected in zip(samples, np.asarray(logprobs_BT)[:, len(PROMPT) :]):
        np.testing.assert_allclose(sample.logprobs, expected, atol=1e-5)
        if method.top_k == NUM_IDS:  # all mass lies on ids, so all of it is kept
            np.testing.assert_allclose(sample.log_kept, 0.0, atol=1e-6)


def test_equal_logits_spread_the_mass_over_the_ids_alone():
    params = jax.tree.map(jnp.zeros_like, _params(PADDED))
    rows = np.array([[*PROMPT, 8]], np.int32)
    for temperature in (1.0, 1e-3):
        logprobs_BT, entropy_BT = _score(PADDED, params, rows, temperature)
        # 1 / 20 each: log 20 = 2.9957 nats.
        np.testing.assert_allclose(logprobs_BT[0, 1:], -math.log(NUM_IDS), rtol=1e-6)
        np.testing.assert_allclose(entropy_BT[0, 1:], math.log(NUM_IDS), rtol=1e-6)


def test_padded_rows_of_the_output_have_no_gradient():
    rows = np.array([[*PROMPT, 8]], np.int32)

    def total(params):
        logprobs_BT, entropy_BT = _score(UNTIED, params, rows, 1.0)
        return logprobs_BT.sum() + entropy_BT.sum()

    gradient = jax.jit(jax.grad(total))(_params(UNTIED))["head"]["kernel"]
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[:, NUM_IDS:])
    assert np.any(gradient[:, :NUM_IDS])
