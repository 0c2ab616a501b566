"""`simex import-hf`: a Hugging Face folder as a checkpoint that simex trains."""

import argparse
import pathlib

HELP = "import a Hugging Face folder (Llama, Qwen2, Qwen3, Qwen3-MoE, CWM)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex import-hf`."""
    parser.add_argument(
        "source",
        type=pathlib.Path,
        help="a folder with config.json, safetensors and tokenizer.json",
    )
    parser.add_argument("out", type=pathlib.Path, help="the folder to make")


def command(arguments: argparse.Namespace) -> int:
    """Imports and says what it was; the exit code."""
    from simex.hf.import_model import import_hf  # brings jax

    description = import_hf(arguments.source, arguments.out)
    config = description.config
    print(
        f"{arguments.out}: {config.num_params:,} parameters in {config.num_layers} "
        f"layers; stop ids {', '.join(map(str, description.stop_ids))}"
    )
    return 0
