"""`simex export-hf`: a checkpoint as a folder that transformers and vLLM load."""

import argparse
import pathlib

HELP = "export a checkpoint as a Hugging Face folder, and check it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex export-hf`."""
    parser.add_argument(
        "checkpoint",
        type=pathlib.Path,
        help="a folder with checkpoints/ and model.json: a training stage or an import",
    )
    parser.add_argument("out", type=pathlib.Path, help="the folder to make")
    parser.add_argument(
        "--step",
        type=_parse_step,
        metavar="N",
        help="of the checkpoint, or best: by its validation metric (default: newest)",
    )
    parser.add_argument(
        "--dtype",
        default="bfloat16",
        help="of the stored tensors: bfloat16 (default) or float32",
    )
    parser.add_argument("--title", help="of the model card (default: the model's)")


def _parse_step(text: str) -> int | str:
    if text == "best" or text.isdecimal():
        return text if text == "best" else int(text)
    raise argparse.ArgumentTypeError(f"must be a number, or best; got {text!r}")


def command(arguments: argparse.Namespace) -> int:
    """Exports and says what was verified; the exit code."""
    from simex.hf.export import export_checkpoint  # brings jax

    report = export_checkpoint(
        arguments.checkpoint,
        arguments.out,
        step=arguments.step,
        dtype=arguments.dtype,
        title=arguments.title,
    )
    print(f"{arguments.out}: {report['status']}")
    return 0
