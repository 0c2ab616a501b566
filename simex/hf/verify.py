"""Loads an export as a stranger would and compares it with what simex computed.

    python verify.py EXPORT REFERENCE

It runs in a process of its own and knows nothing of simex: only transformers, and torch
if it is there. REFERENCE is a folder with reference.json (texts, chats and their ids)
and logits.safetensors (tokens [B, T], logits [B, T, V], the unpadded vocabulary);
findings.json is written into it.
"""

import importlib.util
import json
import logging
import pathlib
import sys
from typing import Any

from safetensors.numpy import load_file

MAX_SHOWN = 5  # of each kind of difference


def main(export: str, reference: str) -> None:
    """Writes findings.json; raises whatever transformers raises."""
    # Before anything is listened to: of a missing torch the findings tell by themselves.
    import transformers  # noqa: F401

    folder = pathlib.Path(reference)
    content = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    heard = _Listener()
    logging.getLogger("transformers").addHandler(heard)
    findings = compare_tokenizer(export, content)
    if not findings["differences"]:  # else the export fails anyway, and sooner
        findings |= _compare_logits_if_possible(export, folder)
    findings["warnings"] = heard.messages
    (folder / "findings.json").write_text(json.dumps(findings), encoding="utf-8")


def _compare_logits_if_possible(export: str, folder: pathlib.Path) -> dict[str, Any]:
    if not importlib.util.find_spec("torch"):
        return {"logits_not_verified": "torch is not installed"}
    try:
        return compare_logits(export, load_file(folder / "logits.safetensors"))
    except ImportError as error:  # a torch without its parts says nothing of the export
        return {"logits_not_verified": str(error)}


def compare_tokenizer(export: str, content: dict[str, Any]) -> dict[str, Any]:
    """Counts and shows texts and chats whose ids or decoded text differ."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(export)
    # Corpus texts may be longer than the context, which is no concern here.
    tokenizer.model_max_length = sys.maxsize
    ids, decoded, chats = [], [], []
    for text, wanted, shown in content["texts"]:
        got = tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=True
        )
        if got != wanted:
            ids.append({"text": text, "wanted": wanted, "got": got})
        if tokenizer.decode(wanted) != shown:
            decoded.append({"text": text, "got": tokenizer.decode(wanted)})
    for chat in content["chats"]:
        got = tokenizer.apply_chat_template(
            [
                {"role": "user", "content": chat["prompt"]},
                {"role": "assistant", "content": chat["completion"]},
            ],
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        if [got["input_ids"], got["assistant_masks"]] != [chat["ids"], chat["mask"]]:
            chats.append({**chat, "got": dict(got)})
    return {
        "transformers": transformers.__version__,
        "tokenizer_class": type(tokenizer).__name__,
        "num_texts": len(content["texts"]),
        "num_chats": len(content["chats"]),
        "num_id_differences": len(ids),
        "num_decode_differences": len(decoded),
        "num_chat_differences": len(chats),
        "differences": [*ids[:MAX_SHOWN], *decoded[:MAX_SHOWN], *chats[:MAX_SHOWN]],
    }


def compare_logits(export: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """The largest absolute difference of logits in float32, and tensors not loaded."""
    import torch
    import transformers

    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        export, dtype=torch.float32, output_loading_info=True
    )
    tokens_BT = torch.tensor(wanted["tokens"]).long()
    with torch.inference_mode():
        logits_BTV = model.eval()(input_ids=tokens_BT).logits
    difference = logits_BTV - torch.tensor(wanted["logits"])
    return {
        "torch": torch.__version__,
        "model_class": type(model).__name__,
        "num_positions": int(tokens_BT.numel()),
        "max_logit_difference": float(difference.abs().max()),
        "largest_logit": float(logits_BTV.abs().max()),
        "missing_tensors": sorted(map(str, loading["missing_keys"])),
        "unexpected_tensors": sorted(map(str, loading["unexpected_keys"])),
    }


class _Listener(logging.Handler):
    """Keeps warnings, so that a load that only complains is seen too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


if __name__ == "__main__":
    main(*sys.argv[1:])
