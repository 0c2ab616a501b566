"""A sentencepiece model as the tokenizer files that transformers loads.

transformers can read `tokenizer.model` itself, but its Llama class then puts its own
normaliser and decoder in place and changes ids. So the whole tokenizer is written out
as `tokenizer.json`, under the class `PreTrainedTokenizerFast`, which takes it as it is.

Policy for text that holds a control piece, such as "<|end|>": sentencepiece never makes
it a control id; transformers does, unless it is called with `split_special_tokens=True`.
Encode untrusted text that way.
"""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

from sentencepiece import sentencepiece_model_pb2

from simex.core.errors import UserError
from simex.tokens.tokenizer import CONTROL_PIECES, SPACE_MARK, SentencePieceTokenizer

PAD, UNK, USER, ASSISTANT, END = CONTROL_PIECES

# Prefix-preserving: the text of a conversation starts with the text of its beginning.
# What stands between the generation markers is what the policy is trained on.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}
{{ '<|user|>' + message['content'] }}
{%- elif message['role'] == 'assistant' -%}
{{ '<|assistant|>' }}
{%- generation -%}
{{ message['content'] + '<|end|>' }}
{%- endgeneration -%}
{%- else -%}
{{ raise_exception('A role must be user or assistant; got ' + message['role']) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|assistant|>' }}
{%- endif -%}
"""

_Model = sentencepiece_model_pb2.ModelProto
_Piece = sentencepiece_model_pb2.ModelProto.SentencePiece


def load_model(tokenizer: SentencePieceTokenizer) -> Any:
    """The tokenizer's parsed ModelProto.

    Raises UserError when its ids cannot be reproduced exactly (see `_check_exact`).
    """
    model = _Model.FromString(tokenizer.path.read_bytes())
    _check_exact(model, tokenizer.path)
    return model


def save_tokenizer(out: pathlib.Path, model: Any, *, max_positions: int) -> None:
    """Writes tokenizer.json, its config, the chat template and tokenizer.model to `out`.

    Args:
        out: an existing folder.
        model: from `load_model`.
        max_positions: the model's context length in tokens.
    """
    _write_json(out / "tokenizer.json", tokenizer_json(model))
    _write_json(out / "tokenizer_config.json", tokenizer_config(model, max_positions))
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    # Not read when tokenizer.json is there; converters to other formats want it.
    (out / "tokenizer.model").write_bytes(model.SerializeToString())


def tokenizer_json(model: Any) -> dict[str, Any]:
    """The content of tokenizer.json: BPE with byte fallback over the bare text.

    Pieces are written with real spaces, so no normaliser has to mark them, and a real
    U+2581 is spelled in bytes, as simex does it.
    """
    texts = [text_of(piece) for piece in model.pieces]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(_added_tokens(model)),
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": UNK,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {text: i for i, text in enumerate(texts)},
            "merges": merges(model),
        },
    }


def merges(model: Any) -> list[list[str]]:
    """All pairs that sentencepiece would join, best first.

    sentencepiece joins any two neighbours whose concatenation is a piece, the piece of
    the highest score first. A list of merges says the same when it holds every split of
    every piece into two pieces, ordered by the score of the whole.
    """
    ids = {text_of(p): i for i, p in enumerate(model.pieces) if p.type == _Piece.NORMAL}
    ranked = []
    for text, whole in ids.items():
        score = model.pieces[whole].score
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in ids and right in ids:
                ranked.append((-score, ids[left], ids[right], [left, right]))
    return [pair for *_, pair in sorted(ranked)]


def tokenizer_config(model: Any, max_positions: int) -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_positions,
        "pad_token": PAD,
        "unk_token": UNK,
        "eos_token": END,
        "additional_special_tokens": [USER, ASSISTANT],
        "clean_up_tokenization_spaces": False,
        # transformers 4 wants them here as well as in tokenizer.json.
        "added_tokens_decoder": {
            str(t.pop("id")): t for t in map(dict, _added_tokens(model))
        },
    }


def text_of(piece: Any) -> str:
    """The text that a piece stands for; bytes and control pieces keep their names."""
    return piece.piece.replace(SPACE_MARK, " ")


def _added_tokens(model: Any) -> Iterable[dict[str, Any]]:
    """Control pieces as special tokens; user-defined ones as plain text that is always
    one piece, so that `split_special_tokens` leaves them whole, as sentencepiece does.
    """
    for i, piece in enumerate(model.pieces):
        is_control = piece.type in (_Piece.CONTROL, _Piece.UNKNOWN)
        if is_control or piece.type == _Piece.USER_DEFINED:
            yield {
                "id": i,
                "content": text_of(piece),
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": is_control,
            }


def _check_exact(model: Any, path: pathlib.Path) -> None:
    """Raises UserError unless the model is of the kind that simex trains."""
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    found = {
        "model_type=bpe": trainer.model_type == trainer.BPE,
        "byte_fallback=true": trainer.byte_fallback,
        "treat_whitespace_as_suffix=false": not trainer.treat_whitespace_as_suffix,
        "normalization_rule_name=identity": not normalizer.precompiled_charsmap,
        "add_dummy_prefix=false": not normalizer.add_dummy_prefix,
        "remove_extra_whitespaces=false": not normalizer.remove_extra_whitespaces,
        "escape_whitespaces=true": normalizer.escape_whitespaces,
    }
    # A piece with a bare space would never match there, and has the text of another.
    found["no bare space in a piece"] = not any(" " in p.piece for p in model.pieces)
    if wrong := [setting for setting, holds in found.items() if not holds]:
        raise UserError(
            f"The export of {path} would change ids: it must have been trained with "
            f"{', '.join(wrong)}. Train the tokenizer with simex."
        )


def _write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
