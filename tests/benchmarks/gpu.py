"""Train step and decoding on one GPU, as shares of what the same GPU reaches.

    python -m tests.benchmarks.gpu [--rounds 5] [--rows 4] [--models qwen wide]
        [--layers scanned] [--prompt-lens 1024 4096]

Needs jax with CUDA, which launch/local does not install.

* peak: the bfloat16 product of two 8,192 x 8,192 matrices, TFLOP/s.
* copy: a 4 GiB array copied on the device, bytes read and written, GB/s.
* train: one AdamW update of a random decoder of about 0.5B params on rows of 4,096
  tokens, bfloat16 products: its share of the peak. FLOPs are those of the products of
  forward and backward pass, with each position seeing what it must.
* decode: 64 rows behind prompts of 1,024 and of 4,096 tokens: the bytes that a step has
  to read (kernels and output layer in bfloat16, keys and values of all rows) as a share
  of the copy bandwidth.

Layers are scanned in training, or with `--layers single` one by one, which is faster and
compiles longer; first params are drawn scanned, since drawing 24 layers one by one takes
a GPU's compiler more than a minute. Decoding always takes layers one by one.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simex.models.config import ModelConfig
from simex.models.layout import unstack_layers
from simex.models.transformer import Params, init_params
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest
from simex.sft.step import make_sft_step
from simex.sharding.mesh import make_mesh, put_batch
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import make_train_state

SEQ_LEN = 4096
BATCH, NUM_NEW = 64, 256
MAX_POSITIONS = 8192

MODELS = {
    # The shape of Qwen2.5-0.5B: narrow, with a vocabulary of 151,936.
    "qwen": ModelConfig(
        vocab_size=151_936,
        d_model=896,
        num_layers=24,
        num_query_heads=14,
        num_kv_heads=2,
        head_dim=64,
        d_ff=4864,
        max_positions=MAX_POSITIONS,
        qk_norm=False,
        qkv_bias=True,
        compute_dtype="bfloat16",
    ),
    # As many params in fewer and wider layers.
    "wide": ModelConfig(
        vocab_size=32_768,
        d_model=1536,
        num_layers=14,
        num_query_heads=12,
        num_kv_heads=4,
        head_dim=128,
        d_ff=6144,
        max_positions=MAX_POSITIONS,
        compute_dtype="bfloat16",
    ),
}


def main() -> None:
    """Measures what the words ask for and prints one line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--remat", default="none")
    parser.add_argument("--layers", choices=["scanned", "single"], default="scanned")
    parser.add_argument("--prompt-lens", type=int, nargs="*", default=[1024, 4096])
    parser.add_argument("--chunk-steps", type=int, default=32)
    parser.add_argument("--tiny", action="store_true", help="to try it on a CPU")
    words = parser.parse_args()
    device = jax.devices()[0]
    print(f"device: {device.device_kind}, jax {jax.__version__}", flush=True)
    side = 256 if words.tiny else 8192
    peak = measure_peak(side, words.rounds)
    copy = measure_copy(2**20 if words.tiny else 2**32, words.rounds)
    print(f"peak bfloat16: {peak / 1e12:.0f} TFLOP/s; copy: {copy / 1e9:.0f} GB/s")
    for name in words.models:
        config = dataclasses.replace(
            MODELS[name], remat=words.remat, scan_layers=words.layers == "scanned"
        )
        if words.tiny:
            config = dataclasses.replace(
                config, num_layers=2, vocab_size=512, d_model=64, d_ff=64
            )
        num_params = count_params(config)
        print(f"{name}: {num_params / 1e6:.0f}M params", flush=True)
        secs = measure_train(config, rows=words.rows, rounds=words.rounds)
        flops = train_flops(config, words.rows)
        print(
            f"  train, {words.rows} x {SEQ_LEN} tokens, remat {config.remat}: "
            f"{1e3 * secs:.1f} ms, {words.rows * SEQ_LEN / secs:.0f} tokens/s, "
            f"{flops / secs / 1e12:.0f} TFLOP/s, {flops / secs / peak:.1%} of the peak",
            flush=True,
        )
        config = dataclasses.replace(config, remat="none", scan_layers=True)
        for prompt_len in words.prompt_lens:
            figures = measure_decode(
                config, words.rounds, words.chunk_steps, prompt_len
            )
            print(
                f"  decode, batch {BATCH} behind {prompt_len} tokens: "
                f"{1e3 * figures['step']:.2f} ms a step, "
                f"{BATCH / figures['step']:.0f} tokens/s, "
                f"{figures['bytes'] / 1e9:.2f} GB a step, "
                f"{figures['bytes'] / figures['step'] / copy:.1%} of the copy "
                f"bandwidth; whole call {figures['call']:.2f} s",
                flush=True,
            )


def timed(run: Callable[[], Any], rounds: int) -> float:
    """Median seconds of a call, after two that do not count."""
    secs = []
    for number in range(-2, rounds):
        begin = time.perf_counter()
        jax.block_until_ready(run())
        if number >= 0:
            secs.append(time.perf_counter() - begin)
    return statistics.median(secs)


def measure_peak(side: int, rounds: int) -> float:
    """FLOP/s of products of random square matrices, ten after another."""
    x, y = (
        jax.random.normal(jax.random.key(i), (side, side), jnp.bfloat16) for i in (0, 1)
    )

    @jax.jit
    def products(x: jax.Array, y: jax.Array) -> jax.Array:
        for _ in range(10):
            x = (x @ y) * (side**-0.5)
        return x

    return 10 * 2 * side**3 / timed(lambda: products(x, y), rounds)


def measure_copy(num_bytes: int, rounds: int) -> float:
    """Bytes read and written a second."""
    x = jnp.ones(num_bytes // 4, jnp.float32)
    add_one = jax.jit(lambda x: x + 1.0)
    return 2 * num_bytes / timed(lambda: add_one(x), rounds)


def count_params(config: ModelConfig) -> int:
    """Of the decoder."""
    shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def train_flops(config: ModelConfig, rows: int) -> float:
    """Of the products of one update."""
    return 3 * config.matmul_flops_per_token((SEQ_LEN + 1) // 2) * rows * SEQ_LEN


def draw_params(config: ModelConfig) -> Params:
    """Random ones, in the layout that the config asks for."""
    scanned = dataclasses.replace(config, scan_layers=True)
    params = init_params(scanned, jax.random.key(0))
    return params if config.scan_layers else unstack_layers(config, params)


def measure_train(config: ModelConfig, *, rows: int, rounds: int) -> float:
    """Seconds of an update."""
    mesh = make_mesh()
    tx = make_optimizer(OptimizerConfig(name="adamw", learning_rate=1e-4), mesh)
    params = draw_params(config)
    state = make_train_state(config, tx, mesh, key=jax.random.key(0), params=params)
    del params
    step = make_sft_step(config, tx, mesh)
    rng = np.random.default_rng(0)
    tokens = rng.integers(32, config.vocab_size, (rows, SEQ_LEN)).astype(np.int32)
    batch = put_batch(
        {
            "tokens": tokens,
            "segment_ids": np.ones_like(tokens),
            "positions": np.tile(np.arange(SEQ_LEN, dtype=np.int32), (rows, 1)),
            "loss_mask": np.ones(tokens.shape, np.float32),
        },
        mesh,
    )

    def run() -> Any:
        nonlocal state
        state, metrics = step(state, batch)
        return metrics

    return timed(run, rounds)


def measure_decode(
    config: ModelConfig, rounds: int, chunk_steps: int, prompt_len: int
) -> dict[str, float]:
    """Seconds of a decode step, by the difference of a long call and a short one."""
    sampler = Sampler(
        config,
        make_mesh(),
        num_slots=BATCH,
        max_prompt_len=prompt_len,
        max_total_len=prompt_len + NUM_NEW,
        chunk_steps=chunk_steps,
        span_multiple=prompt_len + NUM_NEW + chunk_steps,  # one size, one compile
        cache_dtype="bfloat16",
    )
    params = draw_params(config)
    rng = np.random.default_rng(0)
    prompts = rng.integers(32, config.vocab_size, (BATCH // 8, prompt_len))

    def call(num_new: int) -> float:
        requests = [
            SampleRequest(
                prompt_ids=prompt.tolist(),
                max_new_tokens=num_new,
                seed_path=(p, g),
            )
            for p, prompt in enumerate(prompts)
            for g in range(8)
        ]
        return timed(lambda: sampler.sample(params, requests, SamplingMethod()), rounds)

    short = NUM_NEW // 2
    whole, half = call(NUM_NEW), call(short)
    element = 2
    weights = config.matmul_flops_per_token(0) // 2 * element
    cache = (
        (2 * BATCH * config.num_layers * config.num_kv_heads * config.head_dim)
        * (prompt_len + NUM_NEW * 3 // 4)
        * element
    )
    return {
        "step": (whole - half) / (NUM_NEW - short),
        "bytes": float(weights + cache),
        "call": whole,
    }


if __name__ == "__main__":
    main()
