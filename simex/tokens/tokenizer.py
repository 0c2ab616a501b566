"""Tokenizers behind one small interface.

Text that comes from outside (programs, stdout, answers of a model) can hold anything,
so `encode` never turns text into a control piece: a program that prints "<|end|>"
becomes ordinary ids. Control ids enter a sequence through `simex.tokens.chat` only.
"""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Sequence
from typing import Protocol

import sentencepiece
import tokenizers

from simex.core.errors import UserError
from simex.tokens.chat_pieces import ChatPieces

# The ids of the control pieces of every sentencepiece model that simex trains.
CONTROL_PIECES = ("<pad>", "<unk>", "<|user|>", "<|assistant|>", "<|end|>")
PAD_ID, UNK_ID, USER_ID, ASSISTANT_ID, END_ID = range(len(CONTROL_PIECES))

# sentencepiece writes a space as U+2581 inside its pieces and reads it back as a space.
SPACE_MARK = "\u2581"


class Tokenizer(Protocol):
    """What the rest of simex knows of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """One above the largest id. Embeddings may be padded beyond it."""

    @property
    def pad_id(self) -> int:
        """Fills rows; never a target."""

    @property
    def end_id(self) -> int:
        """Ends a completion; the stop id of sampling."""

    @property
    def user_ids(self) -> tuple[int, ...]:
        """Stands before a prompt. One id, or several for an imported chat template."""

    @property
    def assistant_ids(self) -> tuple[int, ...]:
        """Stands between a prompt and its completion."""

    @property
    def byte_ids(self) -> frozenset[int]:
        """Pieces that are single bytes, by which unknown characters are spelled."""

    @property
    def added_ids(self) -> frozenset[int]:
        """What was added to a vocabulary when its merges were learned."""

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes whenever any text could get other ids."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; no control piece is ever parsed from it."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; control pieces have none."""


class SentencePieceTokenizer:
    """A sentencepiece model that `train_sentencepiece` wrote.

    `decode(encode(text)) == text` for every text that UTF-8 can hold.
    """

    def __init__(self, path: str | pathlib.Path):
        """Loads the model.

        Raises:
          UserError: the file is missing, is no sentencepiece model, or has other
            control pieces than `CONTROL_PIECES`.
        """
        self.path = pathlib.Path(path)
        model = _read_bytes(self.path)
        self._processor = _parse_sentencepiece(model, self.path)
        self._space_mark_ids = [
            self._processor.piece_to_id(f"<0x{byte:02X}>")
            for byte in SPACE_MARK.encode()
        ]
        self.vocab_size: int = self._processor.get_piece_size()
        self.pad_id = PAD_ID
        self.end_id = END_ID
        self.user_ids: tuple[int, ...] = (USER_ID,)
        self.assistant_ids: tuple[int, ...] = (ASSISTANT_ID,)
        self.byte_ids = frozenset(
            filter(self._processor.is_byte, range(self.vocab_size))
        )
        self.added_ids: frozenset[int] = frozenset()
        self.fingerprint = hashlib.sha256(model).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. Raises UserError for lone surrogates."""
        _require_utf8(text)
        if SPACE_MARK not in text:
            return self._processor.encode(text)
        # A real U+2581 would come back as a space, so it is spelled in bytes.
        first, *others = (self._processor.encode(s) for s in text.split(SPACE_MARK))
        for ids in others:
            first += self._space_mark_ids + ids
        return first

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; bytes that are no UTF-8 become U+FFFD."""
        return self._processor.decode(_checked_ids(ids, self.vocab_size))


class HuggingFaceTokenizer:
    """A `tokenizer.json` of the `tokenizers` library.

    Added tokens that are not special (layout tags such as ``<think>``) are still
    parsed from text; special ones are not. A round trip is as exact as the file's own
    normaliser and decoder are.
    """

    def __init__(self, path: str | pathlib.Path, *, pieces: ChatPieces):
        """Loads the file.

        Raises:
          UserError: the file is missing or no tokenizer, `pieces` do not fit it, or
            text could spell one of them, as the file does not call it special.
        """
        self.path = pathlib.Path(path)
        content = _read_bytes(self.path)
        self.pieces = pieces
        self._tokenizer = _parse_hugging_face(content, self.path)
        # Files may be saved with either, for a model of sentences; simex packs rows.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.user_ids = self._control_ids(pieces.user)
        self.assistant_ids = self._control_ids(pieces.assistant)
        self.end_id = self._one_control_id("end", pieces.end)
        self.pad_id = self._one_control_id("pad", pieces.pad)
        # From here on special tokens in text are ordinary text.
        self._tokenizer.encode_special_tokens = True
        self._refuse_control_ids_in_text()
        vocabulary = self._tokenizer.get_vocab()
        self.vocab_size = 1 + max(vocabulary.values())
        self.byte_ids = frozenset(
            i for piece, i in vocabulary.items() if _BYTE_PIECE.fullmatch(piece)
        )
        self.added_ids = frozenset(self._tokenizer.get_added_tokens_decoder())
        self.falls_back_to_bytes = len(self.byte_ids) == 256  # as sentencepiece's do
        digest = hashlib.sha256(content)
        digest.update(repr(dataclasses.astuple(pieces)).encode())
        self.fingerprint = digest.hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. Raises UserError for lone surrogates."""
        _require_utf8(text)
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens left out."""
        checked = _checked_ids(ids, self.vocab_size)
        return self._tokenizer.decode(checked, skip_special_tokens=True)

    def _control_ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _refuse_control_ids_in_text(self) -> None:
        """Of added tokens and the end; the rest of `pieces` is ordinary text."""
        used = {*self.user_ids, *self.assistant_ids, self.pad_id}
        added = self._tokenizer.get_added_tokens_decoder()
        # Some vocabularies have added white space, which no turn depends on.
        texts = {i: added[i].content for i in sorted(used & added.keys())}
        texts = {i: text for i, text in texts.items() if text.strip()}
        texts[self.end_id] = self.pieces.end
        spelled = [text for i, text in texts.items() if i in self.encode(text)]
        if spelled:
            raise UserError(
                f"The control pieces of {self.path} must be special, so that a program "
                f"that prints one is text; {', '.join(map(repr, spelled))} is not. Set "
                '"special": true for each under added_tokens there.'
            )

    def _one_control_id(self, name: str, text: str) -> int:
        ids = self._control_ids(text)
        if len(ids) != 1:
            raise UserError(
                f"ChatPieces.{name} must be one token of {self.path}; {text!r} has "
                f"{len(ids)} there. Give the text of one of its special tokens."
            )
        return ids[0]


_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")


def is_trained_by_simex(path: pathlib.Path) -> bool:
    """Whether a sentencepiece file has the control pieces of those that simex trains."""
    try:
        _parse_sentencepiece(_read_bytes(path), path)
    except UserError:
        return False
    return True


def _read_bytes(path: pathlib.Path) -> bytes:
    if not path.is_file():
        raise UserError(
            f"{path} must be a tokenizer file; there is none. Run the stage that "
            "trains the tokenizer, or give the path of an existing one."
        )
    return path.read_bytes()


def _parse_sentencepiece(
    model: bytes, path: pathlib.Path
) -> sentencepiece.SentencePieceProcessor:
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise UserError(
            f"{path} must be a sentencepiece model; it cannot be read ({error}). "
            "Delete it and train the tokenizer again."
        ) from None
    num_checked = min(len(CONTROL_PIECES), processor.get_piece_size())
    found = tuple(processor.id_to_piece(i) for i in range(num_checked))
    if found != CONTROL_PIECES:
        raise UserError(
            f"The first pieces of {path} must be {CONTROL_PIECES}; got {found}. Use a "
            "model that simex trained, or import its tokenizer.json instead."
        )
    return processor


def _parse_hugging_face(content: bytes, path: pathlib.Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(content)
    except ValueError as error:
        raise UserError(
            f"{path} must be a tokenizer.json; it cannot be read ({error})."
        ) from None


_SURROGATE = re.compile("[\ud800-\udfff]")


def _require_utf8(text: str) -> None:
    if found := _SURROGATE.search(text):
        raise UserError(
            "Text must be encodable as UTF-8; got the lone surrogate "
            f"U+{ord(found.group()):04X} at character {found.start()}. "
            "Decode bytes with errors='replace' before they are tokenized."
        )


def _checked_ids(ids: Sequence[int], vocab_size: int) -> list[int]:
    checked = [int(i) for i in ids]
    for i in checked:
        if not 0 <= i < vocab_size:
            raise ValueError(
                f"Ids must be in [0, {vocab_size}); got {i}. Ids of padded "
                "embeddings have no text and must never be sampled."
            )
    return checked
