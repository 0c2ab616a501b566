"""simex beside its peers in one table: train steps, rollouts and whole GRPO steps.

    launch/peers -m tests.benchmarks.peers [--rounds 5] [--only rollouts]

Each part runs as its own command would (`training`, `rollouts`, `grpo`): contestants take
turns on one machine and figures are medians over rounds. "wanted" is the ratio that
simex is to reach.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks import grpo, rollouts, training

# (what, unit, simex's figure, those of peers by name); more is better
Row = tuple[str, str, float, Mapping[str, float]]
PARTS: Mapping[str, Callable[[int], Sequence[Row]]] = {
    "training": training.rows,
    "rollouts": rollouts.rows,
    "grpo": grpo.rows,
}
WANTED = {
    ("train float32", "hf"): 1.0,
    ("train float32", "tunix"): 2.5,
    ("train bfloat16", "hf"): 1.5,
    ("rollouts float32", "transformers"): 3.0,
    ("rollouts float32", "Tunix"): 4.0,
    ("GRPO step float32", "TRL"): 3.0,
}
HEADER = (
    f"{'':20}{'unit':11}{'simex':>8}  {'peer':13}{'peer':>8}{'ratio':>7}{'wanted':>8}"
)


def render(rows: Sequence[Row]) -> list[str]:
    """A line for each row and peer, e.g. simex 4,000, a peer 1,000: ratio 4.00."""
    lines = []
    for what, unit, ours, peers in rows:
        for name, theirs in peers.items():
            least = WANTED.get((what, name))
            wanted = "-" if least is None else f"{least:.2f}"
            lines.append(
                f"{what:20}{unit:11}{ours:8.1f}  {name:13}{theirs:8.1f}"
                f"{ours / theirs:7.2f}{wanted:>8}"
            )
    return lines


def main() -> None:
    """Prints the table, each part as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args()
    print(HEADER, flush=True)
    for name in asked.only:
        print("\n".join(render(PARTS[name](asked.rounds))), flush=True)


if __name__ == "__main__":
    main()
