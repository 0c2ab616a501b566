"""The sampler alone: kept slot-steps, slots that are refilled, growth, bandwidth.

    .venv/bin/python -m tests.benchmarks.sampling [--rounds 5] [--only ragged refill]

* ragged: the share of slot-steps that give a kept token where completions have 1 to 256
  tokens. It is a count: the speed of the machine does not matter.
* refill: the quickstart's shapes, slots that are refilled beside static batches whose
  rows all wait for the longest, as most samplers decode.
* growth: kept tokens a second by group size, slots and prompt length, 13.8M params.
* bandwidth: of one step of decoding 64 rows, how much of the memory bandwidth and of the
  matmul peak, measured in the same process, it reaches. Bytes are those that must be
  read: params once for each device, and the keys and values of every row.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.benchmarks.trainers import NUM_CORES, prepare_jax
from tests.benchmarks.training import CACHE, QUICKSTART
from tests.benchmarks.turns import Maker, Round, medians, take_turns

WARM_UP = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What is sampled: no stop ids, so completions have the lengths that are asked."""

    num_prompts: int = 8
    group: int = 8
    prompt_len: int = 128
    max_new: int = 256
    num_slots: int = 64
    mean_len: float | None = 105.0  # geometric, cut at max_new; None: uniform from 1
    is_static: bool = False  # batches whose rows all decode as long as the longest
    model: tuple[tuple[str, Any], ...] = ()  # changes of the benchmarks' decoder

    def lengths(self, number: int) -> np.ndarray:
        """How many tokens each sample has in a round."""
        rng, size = np.random.default_rng(number + 99), self.num_prompts * self.group
        if self.mean_len is None:
            return rng.integers(1, self.max_new + 1, size)
        return np.minimum(rng.geometric(1 / self.mean_len, size), self.max_new)

    def batches(self, number: int) -> list[np.ndarray]:
        """What the sampler is asked for, a call each."""
        lengths = self.lengths(number)
        if not self.is_static:
            return [lengths]
        parts = np.split(lengths, range(self.num_slots, len(lengths), self.num_slots))
        return [np.full_like(part, part.max()) for part in parts]


RAGGED: Mapping[str, Work] = {
    "256 samples in 64 slots": Work(num_prompts=32, mean_len=None),
    "512 samples in 64 slots": Work(num_prompts=64, mean_len=None),
    "64 samples in 64 slots": Work(mean_len=None),
}
# 32 items of 8 rollouts a train step, 128 slots, 128 new tokens.
STEP = Work(
    num_prompts=32,
    prompt_len=96,
    max_new=128,
    num_slots=128,
    mean_len=48.0,
    model=QUICKSTART.changes,
)
REFILL = {"refilled": STEP, "static": dataclasses.replace(STEP, is_static=True)}
GROWTH = {
    **{f"group {g}": Work(num_prompts=64 // g, group=g) for g in (1, 4, 8, 16)},
    **{f"slots {s}": Work(num_prompts=16, num_slots=s) for s in (16, 32, 64, 128)},
    **{f"prompt {p}": Work(prompt_len=p) for p in (32, 128, 240)},
}
FULL = Work(mean_len=1e9, max_new=128)  # every row runs in every step


def make_sampling(work: Work) -> Round:
    """A round samples the work once."""
    prepare_jax(CACHE)
    from simex.sampling.methods import SamplingMethod
    from simex.sampling.sampler import Sampler
    from simex.sampling.samples import SampleRequest
    from simex.sharding.mesh import make_mesh
    from tests.benchmarks.decoder import CONFIG, make_params

    config = dataclasses.replace(CONFIG, **dict(work.model))
    params = make_params(config)
    sampler = Sampler(
        config,
        make_mesh(),
        num_slots=work.num_slots,
        max_prompt_len=work.prompt_len,
        max_total_len=work.prompt_len + work.max_new,
    )
    shape = (work.num_prompts, work.prompt_len)
    prompts = np.random.default_rng(0).integers(32, config.vocab_size, shape)

    def play(number: int) -> dict[str, float]:
        steps, first, begin = 0, 0, time.perf_counter()
        for lengths in work.batches(number):
            requests = [
                SampleRequest(
                    prompt_ids=prompts[i // work.group].tolist(),
                    max_new_tokens=int(length),
                    seed_path=(number, i),
                )
                for i, length in enumerate(lengths, start=first)
            ]
            sampler.sample(params, requests, SamplingMethod())
            steps += sampler.stats.slot_steps
            first += len(lengths)
        secs = time.perf_counter() - begin
        num_kept = int(work.lengths(number).sum())
        return {
            "kept_per_sec": num_kept / secs,
            "kept_of_steps": num_kept / steps,
            "secs": secs,
            "slot_steps": steps,
        }

    def play_or_warm(number: int) -> dict[str, float]:
        for warm in range(WARM_UP if number < 0 else 0):
            play(-2 - warm)
        return play(number)

    return play_or_warm


def make_limits() -> Round:
    """Bytes and multiply-adds a second that all devices reach together."""
    from tests.benchmarks.trainers import make_peak

    play_peak = make_peak(CACHE)
    import jax
    import jax.numpy as jnp

    from simex.sharding.mesh import batch_sharding, make_mesh

    numbers = jax.device_put(
        jnp.ones((NUM_CORES, 2**25)), batch_sharding(make_mesh())
    )  # 128 MiB a device: no cache holds it
    total = jax.jit(lambda x: jnp.sum(x, axis=1))

    def play(number: int) -> dict[str, float]:
        best = 0.0
        for _ in range(3):
            begin = time.perf_counter()
            jax.block_until_ready(total(numbers))
            best = max(best, numbers.nbytes / (time.perf_counter() - begin) / 1e9)
        return {"read": best, "float32": play_peak(number)["float32"]}

    return play


def decode_needs(work: Work) -> tuple[float, float]:
    """(bytes, FLOPs) of one decode step with all slots full, in the mean."""
    from tests.benchmarks.decoder import CONFIG

    positions = work.prompt_len + work.max_new / 2
    kv = 2 * CONFIG.num_layers * CONFIG.num_kv_heads * CONFIG.head_dim * positions
    rows = work.num_prompts * work.group
    flops = rows * CONFIG.matmul_flops_per_token(round(positions))
    return 4 * (NUM_CORES * CONFIG.num_params + rows * kv), flops


def measure(
    works: Mapping[str, Work], rounds: int, extra: Mapping[str, Maker] = {}
) -> dict[str, dict[str, float]]:
    """Medians of each work."""
    makers = {n: functools.partial(make_sampling, work) for n, work in works.items()}
    found = take_turns({**makers, **extra}, rounds=rounds)
    return {name: medians(figures) for name, figures in found.items()}


def print_ragged(rounds: int) -> None:
    """One work after the other: nothing is timed."""
    tiny = (("d_model", 32), ("num_layers", 1), ("d_ff", 32), ("vocab_size", 64))
    for name, work in RAGGED.items():
        small = dataclasses.replace(work, model=tiny)
        share = measure({name: small}, rounds)[name]["kept_of_steps"]
        print(f"{name}, 1 to 256 tokens: {share:.1%} of slot-steps kept (wanted 85 %)")


def print_refill(rounds: int) -> None:
    """Slots that are refilled beside static batches."""
    found = measure(REFILL, rounds)
    for name, figures in found.items():
        print(
            f"{name:9} {figures['kept_per_sec']:7.0f} kept tokens/s, "
            f"{figures['kept_of_steps']:.0%} of slot-steps kept"
        )
    ratio = found["refilled"]["kept_per_sec"] / found["static"]["kept_per_sec"]
    print(f"refilled is {ratio:.2f} times static (wanted 1.8)")


def print_growth(rounds: int) -> None:
    """Kept tokens a second, one thing changed at a time."""
    for name, figures in measure(GROWTH, rounds).items():
        print(
            f"{name:11} {figures['kept_per_sec']:6.0f} kept tokens/s, "
            f"{figures['kept_of_steps']:.0%} of slot-steps kept"
        )


def print_bandwidth(rounds: int) -> None:
    """Share of what the memory and the cores can do; prefill counts as lost time."""
    found = measure({"full": FULL}, rounds, {"limits": make_limits})
    limits, full = found["limits"], found["full"]
    num_steps = full["slot_steps"] / FULL.num_slots
    num_bytes, flops = decode_needs(FULL)
    secs = full["secs"] / num_steps
    read, rate = num_bytes / secs / 1e9, flops / secs / 1e9
    print(
        f"a step of 64 rows takes {1e3 * secs:.1f} ms\n"
        f"memory   {read:6.1f} of {limits['read']:6.1f} GB/s {read / limits['read']:5.0%}\n"
        f"products {rate:6.1f} of {limits['float32']:6.1f} GF/s "
        f"{rate / limits['float32']:5.0%}"
    )


SECTIONS = {
    "ragged": print_ragged,
    "refill": print_refill,
    "growth": print_growth,
    "bandwidth": print_bandwidth,
}


def main(words: Sequence[str] | None = None) -> None:
    """Runs the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args(words)
    for name in arguments.only:
        print(f"\n== {name}", flush=True)
        SECTIONS[name](arguments.rounds)


if __name__ == "__main__":
    main()
