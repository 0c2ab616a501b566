"""Train steps: simex beside Hugging Face's transformers with torch, and Tunix.

    launch/peers -m tests.benchmarks.training [--rounds 5] [--only compare]

One table a section; contestants take turns, and figures are medians over rounds.

* compare: AdamW on 13.8M params, 8 rows of 512 tokens; also the share of the fastest
  product of matrices that this machine reaches in the same rounds.
* quickstart: the shapes of experiments/quickstart.gin, with Muon.
* growth: how time a token grows with row length and vocabulary, two layers.
* attention: the attention of `models.softmax_attention` beside jax's own.
* stall: the share of a train step in which the device waits for the next batch.

Without the peers (`.venv/bin/python -m ...`) their columns are left out.
"""

import argparse
import dataclasses
import functools
import importlib.util
import pathlib
import tempfile

from tests.benchmarks import trainers
from tests.benchmarks.attention import make_attention
from tests.benchmarks.trainers import Shape
from tests.benchmarks.turns import Maker, medians, take_turns

CACHE = str(pathlib.Path(tempfile.gettempdir()) / "simex-benchmarks")
BFLOAT16 = (("compute_dtype", "bfloat16"),)
QUICKSTART = Shape(
    rows=8,
    seq_len=256,
    optimizer="muon",
    changes=(
        ("d_model", 128),
        ("num_layers", 4),
        ("num_query_heads", 4),
        ("num_kv_heads", 2),
        ("head_dim", 32),
        ("d_ff", 512),
        ("vocab_size", 768),
    ),
)
# (rows, row length, vocabulary); the first one is what the others are compared with.
GROWTH = (
    (16, 256, 2048),
    (8, 512, 2048),
    (4, 1024, 2048),
    (2, 2048, 2048),
    (16, 256, 16_384),
    (16, 256, 65_536),
)


def with_dtype(shape: Shape, changes: tuple = BFLOAT16) -> Shape:
    """The shape with other settings of the decoder."""
    return dataclasses.replace(shape, changes=shape.changes + changes)


def compare(rounds: int, folder: str) -> list[tuple[str, Shape, dict[str, float]]]:
    """(contestant, shape, medians), with the peak last."""
    shapes = {"simex float32": Shape(), "simex bfloat16": with_dtype(Shape())}
    makers: dict[str, Maker] = {
        name: functools.partial(trainers.make_simex, CACHE, shape)
        for name, shape in shapes.items()
    }
    if importlib.util.find_spec("torch"):
        makers["hf float32"] = functools.partial(trainers.make_hugging_face, folder)
    if importlib.util.find_spec("tunix"):
        makers["tunix float32"] = functools.partial(trainers.make_tunix, folder, CACHE)
    makers["peak"] = functools.partial(trainers.make_peak, CACHE)
    figures = take_turns(makers, rounds=rounds)
    return [(n, shapes.get(n, Shape()), medians(f)) for n, f in figures.items()]


def rows(rounds: int = 5) -> list[tuple[str, str, float, dict[str, float]]]:
    """(what, unit, simex, peers) of the comparison, for a table of several."""
    with tempfile.TemporaryDirectory() as folder:
        save_in_process(folder)
        found = {name: figures for name, _, figures in compare(rounds, folder)}
    per_sec = {
        name: Shape().num_tokens / figures["secs"]
        for name, figures in found.items()
        if "secs" in figures
    }
    peers = {n.split()[0]: v for n, v in per_sec.items() if "simex" not in n}
    return [
        (f"train {dtype}", "tok/s", per_sec[f"simex {dtype}"], peers)
        for dtype in ("float32", "bfloat16")
    ]


def print_compare(rounds: int) -> None:
    """Tokens a second, ratios and shares of the peak."""
    with tempfile.TemporaryDirectory() as folder:
        save_in_process(folder)
        found = compare(rounds, folder)
    peak = found.pop()[2]
    secs = {name: figures["secs"] for name, _, figures in found}
    print(
        f"peak: float32 {peak['float32']:.0f}, bfloat16 {peak['bfloat16']:.0f} GF/s\n"
        "contestant         s/step   tok/s  GF/s  of its peak  x hf  x tunix   loss"
    )
    for name, shape, figures in found:
        rate = shape.flops() / figures["secs"] / 1e9
        ratios = [
            f"{secs[peer] / figures['secs']:.2f}" if peer in secs else "-"
            for peer in ("hf float32", "tunix float32")
        ]
        print(
            f"{name:17} {figures['secs']:7.2f} {shape.num_tokens / figures['secs']:7.0f}"
            f" {rate:5.0f} {rate / peak[name.split()[1]]:11.0%}  {ratios[0]:>5}"
            f" {ratios[1]:>8} {figures['loss']:6.3f}"
        )


def print_quickstart(rounds: int) -> None:
    """Share of the float32 peak that the quickstart's train step reaches."""
    shapes = {"float32": QUICKSTART, "bfloat16": with_dtype(QUICKSTART)}
    makers: dict[str, Maker] = {
        dtype: functools.partial(trainers.make_simex, CACHE, shape)
        for dtype, shape in shapes.items()
    }
    makers["peak"] = functools.partial(trainers.make_peak, CACHE)
    found = {n: medians(f) for n, f in take_turns(makers, rounds=2 * rounds).items()}
    peak = found.pop("peak")["float32"]
    print(f"peak: float32 {peak:.0f} GF/s\nquickstart  ms/step   tok/s  GF/s  of peak")
    for dtype, figures in found.items():
        secs = figures["secs"]
        rate = QUICKSTART.flops() / secs / 1e9
        print(
            f"{dtype:10} {1e3 * secs:8.0f} {QUICKSTART.num_tokens / secs:7.0f}"
            f" {rate:5.0f} {rate / peak:8.0%}"
        )


def print_growth(rounds: int) -> None:
    """Microseconds a token, measured and as products alone would let it grow."""
    shapes = {
        sizes: Shape(
            rows=sizes[0],
            seq_len=sizes[1],
            changes=(("num_layers", 2), ("vocab_size", sizes[2])),
        )
        for sizes in GROWTH
    }
    makers: dict[str, Maker] = {
        str(sizes): functools.partial(trainers.make_simex, CACHE, shape)
        for sizes, shape in shapes.items()
    }
    figures = take_turns(makers, rounds=rounds)
    secs = {sizes: medians(figures[str(sizes)])["secs"] for sizes in shapes}
    first = GROWTH[0]
    print("rows length  vocab  us/token  x first  x first in flops")
    for sizes, shape in shapes.items():
        print(
            f"{sizes[0]:4} {sizes[1]:6} {sizes[2]:6}"
            f" {1e6 * secs[sizes] / shape.num_tokens:9.0f}"
            f" {secs[sizes] / secs[first]:8.2f}"
            f" {shape.flops() / shapes[first].flops():8.2f}"
        )


def print_attention(rounds: int) -> None:
    """Milliseconds of attention forwards and backwards, 4 rows of 512."""
    figures = take_turns(
        {"attention": functools.partial(make_attention, CACHE)}, rounds=rounds
    )
    print("attention, forward and backward       ms")
    for name, secs in medians(figures["attention"]).items():
        print(f"{name:32} {1e3 * secs:8.1f}")


def print_stall(rounds: int) -> None:
    """How long the device waits for data."""
    makers: dict[str, Maker] = {
        "stall": functools.partial(trainers.make_stall, CACHE, with_dtype(Shape()))
    }
    found = medians(take_turns(makers, rounds=rounds)["stall"])
    print(
        f"the device waits for data {found['stall']:.2%} of a train step; making a "
        f"batch costs {found['prepared']:.2%} of one"
    )


def save_in_process(folder: str) -> None:
    """Writes the weights for the peers in a process of its own: jax starts there."""
    from multiprocessing import get_context

    from tests.benchmarks.decoder import save_folder

    process = get_context("spawn").Process(
        target=save_folder, args=(pathlib.Path(folder),)
    )
    process.start()
    process.join()


SECTIONS = {
    "compare": print_compare,
    "quickstart": print_quickstart,
    "growth": print_growth,
    "attention": print_attention,
    "stall": print_stall,
}


def main() -> None:
    """Runs the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args()
    for name in arguments.only:
        print(f"\n== {name}", flush=True)
        SECTIONS[name](arguments.rounds)


if __name__ == "__main__":
    main()
