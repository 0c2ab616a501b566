"""The words that every command about an experiment shares: the file, --set, --workdir."""

import argparse
import pathlib


def add_experiment(
    parser: argparse.ArgumentParser,
    *,
    workdir: str | None = "of the run (default: runs/ and the experiment's name)",
    is_optional: bool = False,
) -> None:
    """Adds `experiment`, `overrides` and, with a help text for it, `workdir`."""
    parser.add_argument(
        "experiment",
        nargs="?" if is_optional else None,
        help="a gin file, e.g. experiments/quickstart.gin",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting over the file's, e.g. 'train_sft.num_steps=100'; repeatable",
    )
    if workdir is not None:
        parser.add_argument("--workdir", type=pathlib.Path, help=workdir)
