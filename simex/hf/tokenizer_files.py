"""A tokenizer that was made elsewhere as the files that transformers loads."""

import json
import pathlib
import re

from simex.tokens.chat_pieces import ChatPieces
from simex.tokens.saved import HUGGING_FACE, save_tokenizer
from simex.tokens.tokenizer import HuggingFaceTokenizer

_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}
{{ USER + message['content'] }}
{%- elif message['role'] == 'assistant' -%}
{{ ASSISTANT }}
{%- generation -%}
{{ message['content'] + END }}
{%- endgeneration -%}
{%- else -%}
{{ raise_exception('A role must be user or assistant; got ' + message['role']) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ ASSISTANT }}
{%- endif -%}
"""


def save_hugging_face_tokenizer(
    out: pathlib.Path,
    tokenizer: HuggingFaceTokenizer,
    *,
    max_positions: int,
    bos_token: str | None = None,
) -> None:
    """Writes tokenizer.json as it came, its config, and simex's chat template.

    Args:
        out: an existing folder.
        tokenizer: whose chat pieces the template renders.
        max_positions: the model's context length in tokens.
        bos_token: of the model that was imported; left out if it is no added token.
    """
    save_tokenizer(tokenizer, out)
    pieces = tokenizer.pieces
    added = _added_tokens(out / HUGGING_FACE)
    content = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_positions,
        "pad_token": pieces.pad,
        "eos_token": pieces.end,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": added,
    }
    if bos_token in {token["content"] for token in added.values()}:
        content["bos_token"] = bos_token
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    (out / "tokenizer_config.json").write_text(text, encoding="utf-8")
    (out / "chat_template.jinja").write_text(chat_template(pieces), encoding="utf-8")


def chat_template(pieces: ChatPieces) -> str:
    """The turns that `tokens.chat` renders, with markers around what is trained."""
    # At once: a piece may hold one of the words.
    return re.sub(
        "USER|ASSISTANT|END",
        lambda word: json.dumps(getattr(pieces, word[0].lower())),
        _TEMPLATE,
    )


def _added_tokens(path: pathlib.Path) -> dict[str, dict]:
    # transformers 4 wants them here as well as in tokenizer.json.
    tokens = json.loads(path.read_text(encoding="utf-8")).get("added_tokens") or ()
    return {
        str(token["id"]): {k: v for k, v in token.items() if k != "id"}
        for token in tokens
    }
