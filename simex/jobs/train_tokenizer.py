"""Job: a sentencepiece tokenizer for the dataset."""

import pathlib
from collections.abc import Sequence

import gin

from simex.data.builder import load_split
from simex.nlex.layout import LAYOUT_SYMBOLS
from simex.tokens.train_tokenizer import train_sentencepiece

# Operators with their blanks: most of the tokens of short programs.
CODE_SYMBOLS = (", ", " = ", " == ", " % ", " + ", " * ", " // ", " > ", " < ", " != ")


@gin.configurable
def train_tokenizer(
    workdir: pathlib.Path,
    *,
    vocab_size: int = 768,
    datasets: Sequence[str] = ("build_dataset",),
) -> None:
    """Writes train_tokenizer/tokenizer.model from the texts of the NLEX datasets.

    Args:
      workdir: of the run.
      vocab_size: pieces.
      datasets: stages of build_dataset; all their texts count alike.
    """
    sources = [load_split(workdir / stage / "nlex", "train") for stage in datasets]
    examples = (source[index] for source in sources for index in range(len(source)))
    texts = (text for e in examples for text in (e.prompt, e.target))
    train_sentencepiece(
        texts,
        workdir / "train_tokenizer" / "tokenizer.model",
        vocab_size=vocab_size,
        symbols=LAYOUT_SYMBOLS + CODE_SYMBOLS,
    )
