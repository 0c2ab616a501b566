"""A model on eight devices is the model on one, however its axes are divided."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest
from simex.sharding.activations import placed
from simex.sharding.mesh import (
    MeshConfig,
    batch_sharding,
    make_decode_mesh,
    make_mesh,
    make_shardings,
    put_batch,
    replicated,
)
from simex.train.logprobs import token_logprobs

MODEL = ModelConfig(
    vocab_size=64,
    d_model=64,
    num_layers=2,
    num_query_heads=4,
    num_kv_heads=2,
    head_dim=8,
    d_ff=64,
    tie_embeddings=False,
    max_positions=64,
    windows=(None, 12),
    scan_layers=True,
    remat="full",
)
MESHES = {
    "fsdp 8": MeshConfig(fsdp=8, data=1),
    "fsdp 4 x tensor 2": MeshConfig(fsdp=4, tensor=2, data=1),
    "fsdp 2 x tensor 2 x sequence 2": MeshConfig(fsdp=2, tensor=2, sequence=2, data=1),
    "slices 2 x fsdp 2 x sequence 2": MeshConfig(slices=2, fsdp=2, sequence=2, data=1),
    "more tensor than kv heads": MeshConfig(tensor=4, data=2),
}


def _batch() -> dict[str, np.ndarray]:
    """Eight rows of three segments that end elsewhere in each, and some padding."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 64, (8, 64)).astype(np.int32)
    ends = np.sort(rng.integers(4, 64, (8, 3)), axis=1)
    columns = np.arange(64)
    segments = 1 + (columns[None] >= ends[:, :2, None]).sum(1)
    segments = np.where(columns[None] < ends[:, 2:], segments, 0).astype(np.int32)
    starts = np.stack([np.searchsorted(row, row) for row in segments]) * 0
    for row, found in zip(segments, starts):
        for number in range(1, 4):
            found[row == number] = np.argmax(row == number)
    positions = np.where(segments > 0, columns[None] - starts, 0).astype(np.int32)
    mask = (segments > 0) * rng.random((8, 64)).astype(np.float32)
    return {
        "tokens": tokens,
        "segment_ids": segments,
        "positions": positions,
        "loss_mask": mask.astype(np.float32),
    }


def _loss_and_gradients(model: ModelConfig, config: MeshConfig, num_devices: int):
    mesh = make_mesh(config, devices=jax.devices()[:num_devices])
    boxed = jax.eval_shape(lambda: init_params(model, jax.random.key(0), boxed=True))
    shardings = make_shardings(boxed, mesh)

    def loss(params, batch):
        # Few logits at a time, so that every device loops over chunks of its own.
        logprobs_BT, entropy_BT = token_logprobs(
            model, params, batch, max_chunk_logits=1024
        )
        return -((logprobs_BT + 0.1 * entropy_BT) * batch["loss_mask"]).sum()

    def compute(params, batch):
        with placed(mesh):
            return jax.value_and_grad(loss)(params, batch)

    run = jax.jit(
        compute,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(replicated(mesh), shardings),
    )
    params = jax.device_put(init_params(model, jax.random.key(0)), shardings)
    return run(params, put_batch(_batch(), mesh))


@functools.cache
def _on_one_device(model: ModelConfig):
    return _loss_and_gradients(model, MeshConfig(), 1)


@pytest.mark.parametrize("name", MESHES)
def test_loss_and_gradients_are_those_of_one_device(name) -> None:
    _assert_like_one_device(MESHES[name], 8)


def _assert_like_one_device(config: MeshConfig, num_devices: int) -> None:
    loss, gradients = _on_one_device(MODEL)
    same_loss, same = _loss_and_gradients(MODEL, config, num_devices)
    np.testing.assert_allclose(same_loss, loss, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(same)):
        distance = np.linalg.norm(np.asarray(a) - np.asarray(b))
        assert distance <= 1e-4 * np.linalg.norm(np.asarray(a))


def test_a_mesh_of_nothing_but_tensor_shards_trains_like_one_device() -> None:
    _assert_like_one_device(MeshConfig(tensor=4, data=1), 4)


@functools.cache
def _greedy(name: str | None, tensor: int | None = None) -> list[list[int]]:
    model = dataclasses.replace(MODEL, scan_layers=False, remat="none")
    config = MESHES[name] if name else MeshConfig()
    mesh = make_mesh(config, devices=jax.devices()[: 8 if name else 1])
    boxed = jax.eval_shape(lambda: init_params(model, jax.random.key(0), boxed=True))
    params = init_params(model, jax.random.key(0))
    params = jax.device_put(params, make_shardings(boxed, mesh))
    sampler = Sampler(
        model,
        mesh if tensor is None else make_decode_mesh(mesh, tensor=tensor),
        num_slots=8,
        max_prompt_len=24,
        max_total_len=48,
        stop_ids=(4,),
        prefill_rows=1,
    )
    rng = np.random.default_rng(1)
    requests = [
        SampleRequest(
            prompt_ids=rng.integers(5, 64, 3 + 2 * number).tolist(),
            max_new_tokens=20,
            seed_path=(0, number),
        )
        for number in range(8)
    ]
    samples = sampler.sample(params, requests, SamplingMethod(temperature=0.0))
    return [sample.ids.tolist() for sample in samples]


@pytest.mark.parametrize("name", list(MESHES)[:3])
def test_greedy_rollouts_are_those_of_one_device(name) -> None:
    assert _greedy(name) == _greedy(None)


@pytest.mark.parametrize("tensor", [1, 4])
def test_decoding_has_a_mesh_of_its_own(tensor) -> None:
    assert _greedy("fsdp 2 x tensor 2 x sequence 2", tensor) == _greedy(None)
