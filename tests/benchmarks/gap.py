"""How far the sampler's logprobs lie from the trainer's, in float32 and in bfloat16.

    .venv/bin/python -m tests.benchmarks.gap [--samples 64] [--max-new 256]

The benchmarks' decoder of 13.8M params, with random params (a flat distribution) and with
an output that is ten times as steep; temperature 1, and 0.7 with top-p 0.9. A gap is
|trainer - sampler| of one sampled token, in nats; "ratio" is the largest
|exp(trainer - sampler) - 1|. float32 must stay within 1e-5.
"""

import argparse
import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from simex.models.config import ModelConfig
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import Sample, SampleRequest
from simex.sharding.mesh import make_mesh
from simex.tokens.chat import Rendered
from simex.tokens.packing import pack
from simex.train.logprobs import token_logprobs
from tests.benchmarks.decoder import CONFIG, make_params
from tests.benchmarks.rollouts import STOP_IDS, make_prompts

# (type of matmuls, type of the cache)
TYPES = (("float32", "float32"), ("bfloat16", "float32"), ("bfloat16", "bfloat16"))
METHODS = (SamplingMethod(), SamplingMethod(temperature=0.7, top_p=0.9))
STEEPNESS = (1.0, 10.0)
ROWS, ROW_LEN = 4, 512


def draw(
    config: ModelConfig,
    params: dict,
    method: SamplingMethod,
    *,
    cache_dtype: str,
    num_samples: int,
    max_new: int,
) -> tuple[list[list[int]], list[Sample]]:
    """(prompt of each sample, samples)."""
    prompts = make_prompts().tolist()
    sampler = Sampler(
        config,
        make_mesh(),
        num_slots=num_samples,
        max_prompt_len=len(prompts[0]),
        max_total_len=len(prompts[0]) + max_new,
        stop_ids=STOP_IDS,
        cache_dtype=cache_dtype,
    )
    asked = [prompts[i % len(prompts)] for i in range(num_samples)]
    requests = [
        SampleRequest(prompt_ids=ids, max_new_tokens=max_new, seed_path=(0, i))
        for i, ids in enumerate(asked)
    ]
    return asked, sampler.sample(params, requests, method)


def gaps(
    config: ModelConfig,
    params: dict,
    prompts: Sequence[Sequence[int]],
    samples: Sequence[Sample],
    temperature: float,
) -> np.ndarray:
    """trainer - sampler logprob of every sampled token, as an update would see them."""
    sequences = [
        Rendered.from_ids(p, s.ids.tolist())
        for p, s in zip(prompts, samples, strict=True)
    ]
    num_rows = -(-len(pack(sequences, ROW_LEN).arrays["tokens"]) // ROWS) * ROWS
    packed = pack(sequences, ROW_LEN, num_rows=num_rows)
    score = jax.jit(
        lambda batch: token_logprobs(config, params, batch, temperature=temperature)[0]
    )
    parts = [
        {name: x[start : start + ROWS] for name, x in packed.arrays.items()}
        for start in range(0, num_rows, ROWS)
    ]
    found = packed.unpack(np.concatenate([np.asarray(score(part)) for part in parts]))
    return np.concatenate(
        [
            values[len(prompt) :] - sample.logprobs
            for values, prompt, sample in zip(found, prompts, samples, strict=True)
        ]
    )


def describe(found: np.ndarray) -> str:
    """Quantiles of the sizes, and the largest ratio."""
    sizes = np.abs(found)
    p50, p99, p999 = np.quantile(sizes, (0.5, 0.99, 0.999))
    ratio = np.abs(np.expm1(found)).max()
    return (
        f"{len(sizes):6} tokens  mean {sizes.mean():.1e}  median {p50:.1e}  99 % {p99:.1e}"
        f"  99.9 % {p999:.1e}  most {sizes.max():.1e}  bias {found.mean():+.1e}"
        f"  ratio {ratio:.1e}"
    )


def main() -> None:
    """Prints a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--max-new", type=int, default=256)
    asked = parser.parse_args()
    for steepness in STEEPNESS:
        params = make_params()
        params["final_norm"]["scale"] *= steepness
        for compute, cache in TYPES:
            config = dataclasses.replace(CONFIG, compute_dtype=compute)
            for method in METHODS:
                drawn = draw(
                    config,
                    params,
                    method,
                    cache_dtype=cache,
                    num_samples=asked.samples,
                    max_new=asked.max_new,
                )
                found = gaps(config, params, *drawn, method.temperature)
                print(
                    f"logits x {steepness:<4g} {compute:8} cache {cache:8} "
                    f"T {method.temperature} top-p {method.top_p}: {describe(found)}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
