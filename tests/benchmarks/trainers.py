"""Who takes part in the benchmark of train steps; each in a process of its own.

A round is one optimizer update on the same random tokens, with AdamW (betas 0.9 and
0.95, no weight decay) and gradients clipped to norm 1.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.turns import Round

NUM_CORES = 2
LEARNING_RATE, BETAS, CLIP_NORM = 1e-3, (0.9, 0.95), 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """What a train step works on."""

    rows: int = 8
    seq_len: int = 512
    optimizer: str = "adamw"
    changes: tuple[tuple[str, Any], ...] = ()  # of the decoder of the benchmarks

    def make_config(self) -> Any:
        """The decoder."""
        from tests.benchmarks.decoder import CONFIG

        changed = {"max_positions": self.seq_len} | dict(self.changes)
        return dataclasses.replace(CONFIG, **changed)

    @property
    def num_tokens(self) -> int:
        """Of one train step."""
        return self.rows * self.seq_len

    def flops(self) -> float:
        """Of the products of one update, where a position sees what it must."""
        per_token = self.make_config().matmul_flops_per_token((self.seq_len + 1) // 2)
        return 3 * per_token * self.num_tokens

    def make_tokens(self) -> np.ndarray:
        """Random token ids, int32 [rows, seq_len]."""
        rng = np.random.default_rng(0)
        vocab_size = self.make_config().vocab_size
        return rng.integers(32, vocab_size, (self.rows, self.seq_len)).astype(np.int32)


def prepare_jax(cache: str, *, num_devices: int = NUM_CORES) -> None:
    """Devices, kept memory and compiled programs as `simex run` sets them."""
    from simex.core.heap import keep_freed_memory
    from simex.sharding import cpu

    keep_freed_memory()
    cpu.configure_cpu_devices(num_devices)
    cpu.configure_compile_cache(pathlib.Path(cache))


def make_simex(
    cache: str, shape: Shape = Shape(), *, num_devices: int = NUM_CORES
) -> Round:
    """The step of `simex.train`, on one device a core."""
    prepare_jax(cache, num_devices=num_devices)
    import jax

    from simex.sharding.mesh import put_batch

    state, step, mesh = make_step(shape)
    tokens = shape.make_tokens()
    batch = put_batch(
        {
            "tokens": tokens,
            "segment_ids": np.ones_like(tokens),
            "positions": np.tile(
                np.arange(shape.seq_len, dtype=np.int32), (shape.rows, 1)
            ),
            "loss_mask": np.ones(tokens.shape, np.float32),
        },
        mesh,
    )

    def play(number: int) -> dict[str, float]:
        nonlocal state
        begin = time.perf_counter()
        state, metrics = jax.block_until_ready(step(state, batch))
        secs = time.perf_counter() - begin
        total, weight = metrics["loss"]
        return {"secs": secs, "loss": float(total) / float(weight)}

    return warmed(play)


def warmed(play: Round) -> Round:
    """`play`, in the first round five times: a heap takes some steps to reach its size."""

    def play_or_warm(number: int) -> dict[str, float]:
        for _ in range(4 if number < 0 else 0):
            play(number)
        return play(number)

    return play_or_warm


def make_step(shape: Shape) -> tuple[Any, Callable, Any]:
    """(state, train step, mesh) of simex."""
    import jax

    from simex.sft.step import make_sft_step
    from simex.sharding.mesh import make_mesh
    from simex.train.optimizer import OptimizerConfig, make_optimizer
    from simex.train.state import make_train_state

    config, mesh = shape.make_config(), make_mesh()
    tx = make_optimizer(
        OptimizerConfig(
            name=shape.optimizer,
            learning_rate=LEARNING_RATE,
            beta1=BETAS[0],
            beta2=BETAS[1],
            clip_norm=CLIP_NORM,
        ),
        mesh,
    )
    state = make_train_state(config, tx, mesh, key=jax.random.key(0))
    return state, make_sft_step(config, tx, mesh), mesh


def make_hugging_face(folder: str, shape: Shape = Shape()) -> Round:
    """`transformers` and torch, as a user writes the loop."""
    import torch

    from tests.benchmarks.decoder import load_torch

    model = load_torch(pathlib.Path(folder), num_threads=NUM_CORES).train()
    model.config.use_cache = False
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=0.0
    )
    tokens = torch.tensor(shape.make_tokens(), dtype=torch.long)

    def play(number: int) -> dict[str, float]:
        begin = time.perf_counter()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        return {"secs": time.perf_counter() - begin, "loss": float(loss.detach())}

    return warmed(play)


def make_tunix(folder: str, cache: str, shape: Shape = Shape()) -> Round:
    """Tunix's PeftTrainer: its own jitted step, without its host loop around it."""
    prepare_jax(cache, num_devices=1)
    import jax
    import jax.numpy as jnp
    import optax
    from tunix.sft.peft_trainer import PeftTrainer, TrainingConfig

    from tests.benchmarks.decoder import load_tunix

    tx = optax.chain(
        optax.clip_by_global_norm(CLIP_NORM),
        optax.adamw(LEARNING_RATE, b1=BETAS[0], b2=BETAS[1], weight_decay=0.0),
    )
    model = load_tunix(pathlib.Path(folder))
    trainer = PeftTrainer(
        model, tx, TrainingConfig(eval_every_n_steps=10**9, max_steps=10**9)
    )
    tokens = jnp.asarray(shape.make_tokens())
    causal_TT = jnp.tril(jnp.ones((shape.seq_len,) * 2, bool))
    positions = jnp.tile(jnp.arange(shape.seq_len), (shape.rows, 1))
    trainer.with_gen_model_input_fn(
        lambda tokens: {
            "input_tokens": tokens,
            "input_mask": jnp.ones(tokens.shape, bool),
            "positions": positions,
            "attention_mask": jnp.tile(causal_TT, (shape.rows, 1, 1)),
        }
    )
    step, _ = trainer.jit_train_and_eval_step(cache_nnx_graph=True)

    def play(number: int) -> dict[str, float]:
        begin = time.perf_counter()
        loss = jax.block_until_ready(step(tokens))[0]
        return {"secs": time.perf_counter() - begin, "loss": float(loss)}

    return warmed(play)


def make_peak(cache: str) -> Round:
    """The fastest product of matrices that jax reaches here, in GF/s."""
    prepare_jax(cache)
    import jax
    import jax.numpy as jnp

    from simex.models.matmul import matmul
    from simex.sharding.mesh import batch_sharding, make_mesh, replicated

    mesh = make_mesh()
    sizes = ((4096, 384, 1536), (4096, 1536, 384), (2048, 2048, 2048))
    programs = {}
    for dtype in ("float32", "bfloat16"):
        for m, k, n in sizes:
            # One row of a batch a device: a plain product on each.
            x = jnp.ones((NUM_CORES, m // NUM_CORES, k), dtype)
            programs[dtype, (m, k, n)] = (
                jax.jit(lambda x, y, dtype=dtype: matmul(x, y, compute_dtype=dtype)),
                jax.device_put(x, batch_sharding(mesh)),
                jax.device_put(jnp.ones((k, n), dtype), replicated(mesh)),
            )

    def play(number: int) -> dict[str, float]:
        best = {"float32": 0.0, "bfloat16": 0.0}
        for (dtype, (m, k, n)), (run, x, y) in programs.items():
            for _ in range(3):
                begin = time.perf_counter()
                jax.block_until_ready(run(x, y))
                secs = time.perf_counter() - begin
                best[dtype] = max(best[dtype], 2 * m * k * n / secs / 1e9)
        return best

    return play


def make_stall(cache: str, shape: Shape = Shape()) -> Round:
    """simex's train loop on real packed batches: how long the device waits for them.

    The data are random sequences of 10 to 500 tokens, packed while the device works.
    `waited` is the time in which no step runs, because the next batch is not there yet;
    `prepared` what one batch costs the pipeline when nothing else runs.
    """
    prepare_jax(cache)
    import jax

    from simex.sharding.mesh import put_batch

    state, step, mesh = make_step(shape)
    batches = _make_batches(shape)
    state, _ = jax.block_until_ready(step(state, put_batch(next(batches), mesh)))

    def play(number: int) -> dict[str, float]:
        nonlocal state
        begin, waited = time.perf_counter(), 0.0
        for _ in range(3):
            before = time.perf_counter()
            batch = put_batch(next(batches), mesh)
            waited += time.perf_counter() - before
            state, _ = jax.block_until_ready(step(state, batch))
        secs = time.perf_counter() - begin
        fresh = _make_batches(shape)
        next(fresh)
        before = time.perf_counter()
        for _ in range(20):
            next(fresh)
        return {
            "stall": waited / secs,
            "prepared": (time.perf_counter() - before) / 20 / (secs / 3),
        }

    return play


def _make_batches(shape: Shape) -> Any:
    from simex.data.mixture import Mixture
    from simex.data.pipeline import make_batches
    from simex.data.tokenized import LengthReport, TokenizedSplit, TokenizedTask

    rng = np.random.default_rng(0)
    ends = np.cumsum(rng.integers(10, 500, 4096))
    task = TokenizedTask(
        ids=rng.integers(32, 2048, ends[-1]).astype(np.int32),
        ends=ends,
        num_prompt_tokens=np.zeros(len(ends), np.int32),
    )
    report = LengthReport(seq_len=shape.seq_len, tasks={})
    split = TokenizedSplit(tasks={"task": task}, report=report, pad_id=0)
    return make_batches(split, Mixture(), batch_rows=shape.rows, seed=0)
