"""Tokenizers as folders: what a run or an imported model keeps beside its params."""

import dataclasses
import json
import pathlib
import shutil

from simex.core.errors import UserError
from simex.tokens.chat_pieces import ChatPieces, find_style
from simex.tokens.tokenizer import (
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    is_trained_by_simex,
)

AnyTokenizer = SentencePieceTokenizer | HuggingFaceTokenizer
SENTENCEPIECE, HUGGING_FACE = "tokenizer.model", "tokenizer.json"
PIECES = "chat_pieces.json"


def load_tokenizer(folder: pathlib.Path) -> AnyTokenizer:
    """The tokenizer of a folder that `save_tokenizer` wrote, or of a checkpoint's.

    A sentencepiece model that simex trained comes first; else tokenizer.json, with the
    control text of chat_pieces.json or of the chat style whose control pieces it has.

    Raises UserError when there is none, or none that simex reads exactly.
    """
    model, other = folder / SENTENCEPIECE, folder / HUGGING_FACE
    if model.is_file() and (is_trained_by_simex(model) or not other.is_file()):
        return SentencePieceTokenizer(model)
    if not other.is_file():
        raise UserError(
            f"{folder} must hold {HUGGING_FACE}, or a {SENTENCEPIECE} that simex "
            "trained; it has neither."
        )
    return HuggingFaceTokenizer(other, pieces=_load_pieces(folder))


def save_tokenizer(tokenizer: AnyTokenizer, folder: pathlib.Path) -> None:
    """Copies the tokenizer's file, and its control text, into an existing folder."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        shutil.copyfile(tokenizer.path, folder / SENTENCEPIECE)
        return
    shutil.copyfile(tokenizer.path, folder / HUGGING_FACE)
    text = json.dumps(dataclasses.asdict(tokenizer.pieces), indent=2)
    (folder / PIECES).write_text(text + "\n", encoding="utf-8")


def _load_pieces(folder: pathlib.Path) -> ChatPieces:
    path = folder / PIECES
    if path.is_file():
        try:
            return ChatPieces(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path} must hold the texts user, assistant, end and pad ({error})."
            ) from None
    try:
        content = json.loads((folder / HUGGING_FACE).read_text(encoding="utf-8"))
        added = {token["content"] for token in content.get("added_tokens", ())}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{folder / HUGGING_FACE} must be a tokenizer.json.") from None
    return find_style(added)
