"""The words that every command about an experiment shares: the file, --set, --workdir."""

import argparse
import pathlib

from simex.core.errors import UserError


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


def split_names(text: str) -> tuple[str, ...]:
    """The names between commas. Raises ArgumentTypeError for none."""
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    if not names:
        raise argparse.ArgumentTypeError(f"must name something; got {text!r}")
    return names


def refuse_bucket(workdir: pathlib.Path) -> None:
    """Raises UserError for gs://..., which would be taken for a folder named "gs:"."""
    if workdir.parts[:1] == ("gs:",):
        raise UserError(
            "--workdir must be a folder that this machine sees; got "
            f"gs://{'/'.join(workdir.parts[1:])}. Mount the bucket (gcsfuse) and name "
            "the folder, or start the run by launch/tpu.py or launch/xm.py."
        )
