"""Kept tokens a second: simex's sampler beside `transformers` and Tunix.

    launch/peers -m tests.benchmarks.rollouts [--rounds 5]

Eight prompts of 128 tokens, eight samples each, at most 256 new tokens, temperature 1,
16 stop ids of a vocabulary of 2,048: with random weights a sample has about 110 tokens.
simex is warmed up by 13 rounds, its peers by one: they have one shape.
Kept are the tokens up to the first stop id. The peers decode one batch until its last
row ends.
"""

import argparse
import functools
import pathlib
import tempfile
import time
from typing import Any

import numpy as np

from tests.benchmarks.turns import Round, medians, take_turns

NUM_PROMPTS, GROUP, PROMPT_LEN, MAX_NEW = 8, 8, 128, 256
STOP_IDS = tuple(range(2, 18))
NUM_CORES = 2
WARM_UP = 13


def make_prompts() -> np.ndarray:
    """int32 [prompts, positions], without special ids."""
    rng = np.random.default_rng(0)
    return rng.integers(32, 2048, (NUM_PROMPTS, PROMPT_LEN)).astype(np.int32)


def kept(ids: np.ndarray) -> int:
    """Tokens of a row up to its first stop id."""
    stops = np.flatnonzero(np.isin(ids, STOP_IDS))
    return int(stops[0]) + 1 if len(stops) else len(ids)


def make_simex(**settings: Any) -> Round:
    """The sampler of this repository; both cores share every row (SamplerShape.tensor)."""
    from simex.core.heap import keep_freed_memory
    from simex.sharding.cpu import configure_cpu_devices

    keep_freed_memory()
    configure_cpu_devices(NUM_CORES)

    from simex.sampling.methods import SamplingMethod
    from simex.sampling.sampler import Sampler
    from simex.sampling.samples import SampleRequest
    from simex.sharding.compiles import num_compiles
    from simex.sharding.mesh import make_decode_mesh, make_mesh
    from tests.benchmarks.decoder import CONFIG, make_params

    defaults = {"num_slots": NUM_PROMPTS * GROUP, "max_prompt_len": PROMPT_LEN}
    sampler = Sampler(
        CONFIG,
        make_decode_mesh(make_mesh(), tensor=NUM_CORES),
        max_total_len=PROMPT_LEN + MAX_NEW,
        stop_ids=STOP_IDS,
        **(defaults | settings),
    )
    params, prompts = make_params(), make_prompts()

    def play(number: int) -> dict[str, float]:
        requests = [
            SampleRequest(
                prompt_ids=prompt.tolist(),
                max_new_tokens=MAX_NEW,
                seed_path=(number, p, g),
            )
            for p, prompt in enumerate(prompts)
            for g in range(GROUP)
        ]
        compiles, begin = num_compiles(), time.perf_counter()
        samples = sampler.sample(params, requests, SamplingMethod())
        secs = time.perf_counter() - begin
        num_kept = sum(len(sample.ids) for sample in samples)
        return {
            "kept_per_sec": num_kept / secs,
            "mean_len": num_kept / len(samples),
            "secs": secs,
            "kept_of_steps": sampler.stats.kept_fraction,
            "compiles": num_compiles() - compiles,
        }

    # Which sizes of a batch come up depends on lengths: the first rounds compile.
    for number in range(-WARM_UP, -1):
        play(number)
    return play


def make_transformers(folder: str) -> Round:
    """`generate` of transformers with its cache, torch on the CPU."""
    import torch

    from tests.benchmarks.decoder import END_ID, PAD_ID, load_torch

    model = load_torch(pathlib.Path(folder), num_threads=NUM_CORES)
    ids = torch.tensor(make_prompts(), dtype=torch.long)

    def play(number: int) -> dict[str, float]:
        torch.manual_seed(number)
        begin = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=GROUP,
                max_new_tokens=MAX_NEW,
                eos_token_id=[END_ID, *STOP_IDS],
                pad_token_id=PAD_ID,
            )
        secs = time.perf_counter() - begin
        return _figures(out[:, PROMPT_LEN:].numpy(), secs)

    return play


def make_tunix(folder: str) -> Round:
    """Tunix's own sampler, as its GRPO calls it: logprobs, top_p of 1."""
    from tunix.generate import sampler as tunix_sampler

    from tests.benchmarks.decoder import CONFIG, load_tunix

    sampler = tunix_sampler.Sampler(
        load_tunix(pathlib.Path(folder)),
        Words(),
        tunix_sampler.CacheConfig(
            cache_size=PROMPT_LEN + MAX_NEW,
            num_layers=CONFIG.num_layers,
            num_kv_heads=CONFIG.num_kv_heads,
            head_dim=CONFIG.head_dim,
        ),
    )
    texts = [Words().decode(prompt.tolist()) for prompt in make_prompts()]
    texts = [text for text in texts for _ in range(GROUP)]

    def play(number: int) -> dict[str, float]:
        begin = time.perf_counter()
        out = sampler(
            texts,
            max_generation_steps=MAX_NEW,
            max_prompt_length=PROMPT_LEN,
            return_logprobs=True,
            eos_tokens=list(STOP_IDS),
            temperature=1.0,
            top_p=1.0,
            seed=number,
        )
        secs = time.perf_counter() - begin
        rows = [np.asarray(row) for row in out.tokens]
        return _figures(rows, secs)

    return play


class Words:
    """A tokenizer whose texts are ids with blanks between them."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return [int(word) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        """The text of ids."""
        return " ".join(map(str, ids))

    def bos_id(self) -> int:
        """None: 0 counts as no such id."""
        return 0

    def eos_id(self) -> int:
        """Of a document."""
        return 1

    def pad_id(self) -> int:
        """In front of short prompts."""
        return 0


def _figures(rows: Any, secs: float) -> dict[str, float]:
    num_kept = sum(map(kept, rows))
    return {
        "kept_per_sec": num_kept / secs,
        "mean_len": num_kept / len(rows),
        "secs": secs,
        "kept_of_steps": num_kept / (len(rows) * max(map(len, rows))),
    }


def compare(rounds: int) -> dict[str, dict[str, float]]:
    """Medians of each contestant's figures."""
    from tests.benchmarks.decoder import save_folder

    with tempfile.TemporaryDirectory() as folder:
        save_folder(pathlib.Path(folder))
        figures = take_turns(
            {
                "simex": make_simex,
                "transformers": functools.partial(make_transformers, folder),
                "Tunix": functools.partial(make_tunix, folder),
            },
            rounds=rounds,
        )
    compiles = [round["compiles"] for round in figures["simex"]]
    print(f"simex compiled {compiles} programs in the rounds that count")
    return {name: medians(rounds) for name, rounds in figures.items()}


def rows(rounds: int = 5) -> list[tuple[str, str, float, dict[str, float]]]:
    """(what, unit, simex, peers) for a table of several benchmarks."""
    per_sec = {name: r["kept_per_sec"] for name, r in compare(rounds).items()}
    ours = per_sec.pop("simex")
    return [("rollouts float32", "kept tok/s", ours, per_sec)]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    results = compare(parser.parse_args().rounds)
    ours = results["simex"]["kept_per_sec"]
    for name, r in results.items():
        print(
            f"{name:14} {r['kept_per_sec']:7.0f} kept tokens/s  simex is "
            f"{ours / r['kept_per_sec']:4.2f} times that  {r['mean_len']:5.1f} tokens "
            f"a sample, {r['kept_of_steps']:.0%} of slot-steps kept, {r['secs']:.2f} s"
        )


if __name__ == "__main__":
    main()
