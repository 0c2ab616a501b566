"""The control text around a chat turn, for tokenizers that were made elsewhere."""

import dataclasses
from collections.abc import Container

from simex.core.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatPieces:
    """The control text around a chat turn, for a tokenizer made elsewhere.

    Example: ``ChatPieces(user="<|im_start|>user\\n", end="<|im_end|>",
    assistant="<|im_end|>\\n<|im_start|>assistant\\n", pad="<|endoftext|>")``.
    """

    user: str
    assistant: str
    end: str  # exactly one id
    pad: str  # exactly one id


CHATML = ChatPieces(  # Qwen, SmolLM
    user="<|im_start|>user\n",
    assistant="<|im_end|>\n<|im_start|>assistant\n",
    end="<|im_end|>",
    pad="<|endoftext|>",
)
LLAMA3 = ChatPieces(  # Llama 3, CWM
    user="<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
    assistant="<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    end="<|eot_id|>",
    pad="<|end_of_text|>",
)
STYLES = {"chatml": CHATML, "llama3": LLAMA3}
_NEEDED = {
    "chatml": ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    "llama3": ("<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>"),
}


def find_style(vocabulary: Container[str]) -> ChatPieces:
    """The style whose control pieces the vocabulary has. Raises UserError if none."""
    for name, pieces in STYLES.items():
        if all(piece in vocabulary for piece in _NEEDED[name]):
            return pieces
    styles = "; ".join(f"{name}: {', '.join(p)}" for name, p in _NEEDED.items())
    raise UserError(
        "A tokenizer.json must have the control pieces of a chat style that simex "
        f"knows ({styles}). Name its own in chat_pieces.json beside it: user, "
        "assistant, end, pad."
    )
