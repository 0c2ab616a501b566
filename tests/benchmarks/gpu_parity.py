"""One GPU against the CPU of the same machine, and sampler against trainer on it.

    python -m tests.benchmarks.gpu_parity

Needs jax with CUDA. A small random decoder, packed rows, with and without a window:
largest differences of logprobs and relative ones of gradients, in float32 and bfloat16;
then the distribution of sampler minus trainer logprobs at temperature 0.7, top-p 0.9.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest
from simex.sharding.activations import placed
from simex.sharding.mesh import make_mesh
from simex.train.logprobs import token_logprobs

CONFIG = ModelConfig(
    vocab_size=1024,
    d_model=256,
    num_layers=4,
    num_query_heads=4,
    num_kv_heads=2,
    head_dim=64,
    d_ff=512,
    max_positions=512,
)


def main() -> None:
    """Prints a line for each comparison."""
    for dtype in ("float32", "bfloat16"):
        for window in (None, 100):
            config = dataclasses.replace(
                CONFIG, compute_dtype=dtype, windows=(window,) * CONFIG.num_layers
            )
            compare_platforms(config)
        compare_sampler(dataclasses.replace(CONFIG, compute_dtype=dtype))


def compare_platforms(config: ModelConfig) -> None:
    """Logprobs and gradients of packed rows on both."""
    rng = np.random.default_rng(0)
    shape = (4, 512)
    segments = np.sort(rng.integers(0, 4, shape), axis=1)[:, ::-1].astype(np.int32)
    starts = np.diff(segments, axis=1, prepend=-1) != 0
    index = np.arange(shape[1], dtype=np.int32)
    positions = index - np.maximum.accumulate(np.where(starts, index, 0), axis=1)
    batch = {
        "tokens": rng.integers(0, config.vocab_size, shape).astype(np.int32),
        "segment_ids": segments,
        "positions": positions.astype(np.int32),
    }
    found = []
    for device in (jax.devices("cpu")[0], jax.devices()[0]):
        with jax.default_device(device):
            params = jax.device_put(
                jax.tree.map(np.asarray, init_params(config, jax.random.key(0))),
                device,
            )
            mesh = make_mesh(devices=[device])
            found.append(jax.device_get(_loss(config, mesh, params, batch)))
    (_, logprobs), grads = found[0]
    (_, other_logprobs), other_grads = found[1]
    norms = jax.tree.map(
        lambda a, b: float(np.linalg.norm(a - b) / np.linalg.norm(a)),
        grads,
        other_grads,
    )
    print(
        f"{config.compute_dtype}, window {config.windows[0]}: logprobs differ by at "
        f"most {np.abs(logprobs - other_logprobs).max():.1e}, gradients by "
        f"{max(jax.tree.leaves(norms)):.1e} of their norm",
        flush=True,
    )


def _loss(config: ModelConfig, mesh: Mesh, params: Any, batch: Any) -> Any:
    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        with placed(mesh):
            logprobs, _ = token_logprobs(config, params, batch)
        return logprobs.sum(), logprobs

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


def compare_sampler(config: ModelConfig) -> None:
    """Sampler minus trainer logprob of each sampled token."""
    mesh = make_mesh()
    sampler = Sampler(
        config, mesh, num_slots=64, max_prompt_len=64, max_total_len=256,
        cache_dtype=config.compute_dtype,
    )  # fmt: skip
    params = init_params(config, jax.random.key(0))
    method = SamplingMethod(temperature=0.7, top_p=0.9)
    rng = np.random.default_rng(1)
    requests = [
        SampleRequest(
            prompt_ids=rng.integers(0, config.vocab_size, 60).tolist(),
            max_new_tokens=190,
            seed_path=(i,),
        )
        for i in range(64)
    ]
    samples = sampler.sample(params, requests, method)
    rows = [
        list(r.prompt_ids) + s.ids.tolist()
        for r, s in zip(requests, samples, strict=True)
    ]
    tokens = np.zeros((64, 256), np.int32)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    batch = {
        "tokens": tokens,
        "segment_ids": np.ones_like(tokens),
        "positions": np.tile(np.arange(256, dtype=np.int32), (64, 1)),
    }

    @jax.jit
    def score(params: Any) -> jax.Array:
        with placed(mesh):
            return token_logprobs(config, params, batch, temperature=0.7)[0]

    logprobs = np.asarray(score(params))
    gaps = np.concatenate(
        [s.logprobs - logprobs[i, 60 : 60 + len(s.ids)] for i, s in enumerate(samples)]
    )
    low, median, high = np.percentile(np.abs(gaps), (50, 95, 99.9))
    print(
        f"{config.compute_dtype}: |sampler - trainer| of {len(gaps)} tokens: median "
        f"{low:.1e}, 95 % {median:.1e}, 99.9 % {high:.1e}, most {np.abs(gaps).max():.1e}, "
        f"mean of the difference {gaps.mean():.1e}",
        flush=True,
    )


if __name__ == "__main__":
    main()
