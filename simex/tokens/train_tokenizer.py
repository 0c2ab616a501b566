"""Training of the sentencepiece model: BPE made for programs and their traces.

Settings, and what each is for:

* byte fallback, identity normalisation, no dummy prefix, all whitespace kept: every
  text comes back exactly;
* single digits: "137" and "138" share pieces, so arithmetic can be learned;
* a newline with its indentation is one piece: layout costs one id a line;
* pieces end at a space and at digits (the space before a word may belong to it), but
  may join words with punctuation, as in "x=" or "print(": a study on the curriculum's
  programs counted 100 tokens an example instead of 122;
* BPE rather than unigram: only BPE can be exported with the very same ids.
"""

import io
import pathlib
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sentencepiece

from simex.core.errors import UserError
from simex.core.files import write_bytes_atomically
from simex.tokens.tokenizer import CONTROL_PIECES, SPACE_MARK, SentencePieceTokenizer

NEWLINE_PIECES = ("\n", "\n    ", "\n        ", "\n            ")

NUM_BYTE_PIECES = 256

# Single characters below this share of the corpus are left to the byte pieces.
CHARACTER_COVERAGE = 0.9995


def train_sentencepiece(
    texts: Iterable[str],
    out: pathlib.Path,
    *,
    vocab_size: int,
    symbols: Sequence[str],
) -> SentencePieceTokenizer:
    """Trains a model on `texts` and writes it to `out`, whole or not at all.

    The same texts in the same order give the same bytes.

    Args:
      texts: the corpus; prompts and targets, one text an item.
      out: file of the model, e.g. ``tokenizer.model``.
      vocab_size: the most pieces it may have. A corpus that has too few different words
        gives a smaller model: read `vocab_size` of the result.
      symbols: layout tags such as ``"[PYTHON]"``; each is one piece wherever it stands
        in a text. `NEWLINE_PIECES` are always added.

    Raises:
      UserError: no text, a vocabulary too small for the bytes, symbols and characters,
        or a symbol that cannot be one.
    """
    pieces = _user_pieces(symbols)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_non_empty(texts),
            model_writer=model,
            vocab_size=vocab_size,
            user_defined_symbols=pieces,
            required_chars=_printable_ascii(),
            **_SETTINGS,
        )
    except RuntimeError as error:
        raise UserError(
            f"A tokenizer of {vocab_size} pieces could not be trained: {error} "
            f"It needs {len(CONTROL_PIECES)} control pieces, {NUM_BYTE_PIECES} bytes, "
            f"{len(pieces)} symbols and newlines, and every character of the corpus. "
            "Raise vocab_size, or give other texts."
        ) from None
    write_bytes_atomically(out, model.getvalue())
    return SentencePieceTokenizer(out)


_SETTINGS: dict[str, Any] = {
    "model_type": "bpe",
    "byte_fallback": True,
    "split_digits": True,
    # Merged into short programs' own words ("x=", "t +="): a fifth fewer tokens.
    "split_by_unicode_script": False,
    "split_by_whitespace": True,
    "split_by_number": True,
    "allow_whitespace_only_pieces": True,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "character_coverage": CHARACTER_COVERAGE,
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": -1,
    "eos_id": -1,
    "pad_piece": CONTROL_PIECES[0],
    "unk_piece": CONTROL_PIECES[1],
    "control_symbols": list(CONTROL_PIECES[2:]),
    # A small corpus gives a smaller vocabulary rather than an error.
    "hard_vocab_limit": False,
    # Longer texts would be skipped without a word; the default is 4 KiB.
    "max_sentence_length": 1 << 30,
    # More threads make the order of equally frequent merges, and so the file, vary.
    "num_threads": 1,
    "minloglevel": 2,
}


def _user_pieces(symbols: Sequence[str]) -> list[str]:
    for symbol in symbols:
        if not symbol or SPACE_MARK in symbol or symbol in CONTROL_PIECES:
            raise UserError(
                f"A symbol must be a non-empty text without U+2581 and no control "
                f"piece {CONTROL_PIECES}; got {symbol!r}."
            )
    # dict keeps the order and drops repeats: ids depend on the order.
    unique = dict.fromkeys([*symbols, *NEWLINE_PIECES])
    # Symbols are matched after spaces have been marked.
    return [symbol.replace(" ", SPACE_MARK) for symbol in unique]


def _non_empty(texts: Iterable[str]) -> Iterator[str]:
    seen = False
    for text in texts:
        if text:
            seen = True
            yield text
    if not seen:
        raise UserError("A tokenizer needs at least one non-empty text; got none.")


def _printable_ascii() -> str:
    return string.ascii_letters + string.digits + string.punctuation
