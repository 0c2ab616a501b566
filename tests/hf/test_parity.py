"""The decoder computes what torch computes, for every family and option."""

import dataclasses
import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.hf.config_import import parse_model_json
from simex.hf.names import to_tensors
from simex.hf.params_import import check_tensors, load_params_sharded
from simex.hf.tensor_files import find_tensors
from simex.models.layout import stack_layers, unstack_layers
from simex.models.transformer import forward, logits
from simex.sharding.mesh import MeshConfig, make_mesh
from tests.hf.greedy import assert_same_greedy
from tests.hf.torch_models import CASES, make_torch_model, read_config

has_torch = all(importlib.util.find_spec(n) for n in ("torch", "transformers"))
pytestmark = [
    pytest.mark.slow,  # transformers alone takes seconds to be imported
    pytest.mark.skipif(not has_torch, reason="torch is not installed"),
    pytest.mark.filterwarnings("default"),  # they warn of matters of their own
]
NUM_POSITIONS = 512


@functools.cache
def one_device_mesh():
    return make_mesh(MeshConfig(data=1), devices=jax.devices()[:1])


@pytest.fixture(scope="module", params=sorted(CASES))
def pair(request, tmp_path_factory):
    """(torch's model, our config, our params) of one case."""
    folder = tmp_path_factory.mktemp("model")
    model = make_torch_model(request.param, folder)
    config = parse_model_json(read_config(folder))
    tensors = find_tensors(folder)
    check_tensors(tensors, config)
    return model, config, load_params_sharded(tensors, config, one_device_mesh())


@functools.partial(jax.jit, static_argnums=0)
def our_logits(config, params, tokens_BT, segments_BT, positions_BT):
    hidden = forward(
        config,
        params,
        tokens_BT=tokens_BT,
        segment_ids_BT=segments_BT,
        positions_BT=positions_BT,
    )
    return logits(config, params, hidden)


def random_tokens(*shape, seed=0):
    return np.random.default_rng(seed).integers(3, 512, shape).astype(np.int32)


def torch_logits(model, tokens, mask=None):
    import torch

    arguments = {"input_ids": torch.tensor(tokens).long()}
    if mask is not None:
        positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        arguments["attention_mask"] = torch.tensor(mask).long()
        arguments["position_ids"] = torch.tensor(positions).long()
    with torch.inference_mode():
        # Its dynamic scaling remembers the longest row so far, until a short one comes.
        model(input_ids=torch.zeros(1, 4, dtype=torch.long))
        return model(**arguments).logits.numpy()


def test_logits_padded_packed_and_shifted_equal_those_of_torch(pair):
    model, config, params = pair
    # Row 0: 512 tokens. Row 1: 300 and padding. Row 2: padding, then 212: left-shifted.
    tokens = random_tokens(3, NUM_POSITIONS)
    steps = np.arange(NUM_POSITIONS)
    segments = np.stack([steps >= 0, steps < 300, steps >= 300]).astype(np.int32)
    positions = np.stack([steps, steps, np.maximum(steps - 300, 0)]).astype(np.int32)
    ours = our_logits(config, params, tokens, segments, positions)
    # One packed row: segments of 300 and 212.
    packed = np.concatenate([tokens[1, :300], tokens[2, 300:]])[None]
    packed_segments = np.where(steps < 300, 1, 2)[None].astype(np.int32)
    packed_positions = np.where(steps < 300, steps, steps - 300)[None].astype(np.int32)
    together = our_logits(config, params, packed, packed_segments, packed_positions)
    for row, span in enumerate((slice(0, 512), slice(0, 300), slice(300, 512))):
        # Alone, as the length of a batch is part of torch's dynamic scaling.
        alone = torch_logits(model, tokens[row : row + 1, span])
        assert np.abs(alone).max() > 1  # else a small difference would say little
        assert np.abs(ours[row, span] - alone[0]).max() <= 1e-4
        if row:
            assert np.abs(together[0, span] - alone[0]).max() <= 1e-4
            shifted = torch_logits(
                model, tokens[row : row + 1], segments[row : row + 1]
            )
            if config.rope_scaling.kind != "dynamic":
                assert np.abs(ours[row, span] - shifted[0, span]).max() <= 1e-4


def test_greedy_continuations_are_those_of_torch(pair):

    model, config, params = pair
    prompts = [random_tokens(n, seed=n).tolist() for n in (5, 40, 90)]
    assert_same_greedy(model, config, params, prompts, mesh=one_device_mesh())


def test_gradients_of_every_param_are_those_of_torch(pair):
    import torch

    model, config, params = pair
    tokens = random_tokens(2, 96, seed=3)
    ids = torch.tensor(tokens).long()
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    state = {name: p.grad.numpy() for name, p in model.named_parameters()}
    wanted = _with_split_experts(state)
    for variant in _variants(config):
        grads = _gradients(loss_of(variant, tokens), variant, params)
        got = to_tensors(grads, variant, dtype=np.dtype(np.float32))
        assert set(got) == set(wanted)
        for name, gradient in wanted.items():
            difference = np.linalg.norm(got[name] - gradient)
            assert difference <= 1e-4 * np.linalg.norm(gradient) + 1e-9, name


def loss_of(config, tokens):
    steps = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)

    def loss(params):
        found = our_logits(config, params, tokens, jnp.ones_like(steps), steps)
        logprobs = jax.nn.log_softmax(found[:, :-1])
        chosen = jnp.take_along_axis(logprobs, tokens[:, 1:, None], axis=-1)
        return -jnp.mean(chosen)

    return loss


def _gradients(loss, config, params):
    if config.scan_layers:
        params = stack_layers(config, params)
    return unstack_layers(config, jax.jit(jax.grad(loss))(params))


def _variants(config):
    """As it is, and (for one that can) scanned with a remat policy."""
    yield config
    if not (config.experts and config.experts.dense_layers):
        yield dataclasses.replace(config, scan_layers=True, remat="full")


def _with_split_experts(state):
    """Experts are one tensor in memory there, and one each in a checkpoint."""
    found = {}
    for name, value in state.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            found[name] = value
            continue
        stem = name.rsplit(".", 1)[0]
        for number, matrix in enumerate(value):
            if name.endswith("down_proj"):
                found[f"{stem}.{number}.down_proj.weight"] = matrix
                continue
            gate, up = np.split(matrix, 2)
            found[f"{stem}.{number}.gate_proj.weight"] = gate
            found[f"{stem}.{number}.up_proj.weight"] = up
    return found
