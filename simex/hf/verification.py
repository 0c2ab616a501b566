"""Asks a fresh process to load an export, and judges what it found."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from simex.core.errors import UserError
from simex.hf import verify
from simex.models import transformer
from simex.models.config import ModelConfig
from simex.tokens.chat import render
from simex.tokens.tokenizer import SentencePieceTokenizer, Tokenizer

# Of the largest logit, float32 on both sides. Rounding alone gives up to 4e-6 (30 layers,
# SmolLM2-135M); one kernel rounded to bfloat16, or a slightly wrong setting, gives more
# than this even in two layers, as a test holds.
MAX_LOGIT_DIFFERENCE = 1e-5
TIMEOUT_SECS = 900.0
NUM_ROWS, NUM_POSITIONS = 2, 64
_CHATS = (("Print 7.", "print(7)"), (" a\n\n  b ", "\n    x = 1\n"), ("", ""))


def verify_export(
    folder: pathlib.Path,
    params: Mapping[str, Any],
    *,
    config: ModelConfig,
    tokenizer: Tokenizer,
    texts: Sequence[str],
) -> dict[str, Any]:
    """Compares ids, decoded text, chats and logits of the export with simex's own.

    Ids and decoded text must be equal, logits within `MAX_LOGIT_DIFFERENCE` of the
    largest. Decoded text is compared with what simex decodes, not with the text that
    was encoded: a vocabulary may have no piece for some character (SmolLM2's lacks six
    control characters and the bytes F1 to F3), and an export cannot mend that. Such
    characters are found one by one and counted, and every text must come back whole but
    for them; so nothing else can get lost under cover of this.

    Args:
        folder: the export.
        params: as they were stored, i.e. rounded to the stored dtype.
        config: the model's shape.
        tokenizer: whose files are in the export.
        texts: the corpus; texts that UTF-8 cannot hold are not allowed.

    Returns the findings for export_report.json; ``status`` is "verified", or "not
    verified: …" with what is not installed.

    Raises UserError when anything differs or cannot be loaded.
    """
    if not importlib.util.find_spec("transformers"):
        return {"status": "not verified: transformers is not installed"}
    without_piece = find_characters_without_piece(tokenizer, texts)
    with tempfile.TemporaryDirectory(prefix="simex-export-") as name:
        reference = pathlib.Path(name)
        _save_reference(reference, tokenizer, texts)
        tokens_BT, logits_BTV = reference_logits(params, config, tokenizer.vocab_size)
        tensors = {"tokens": tokens_BT, "logits": logits_BTV}
        save_file(tensors, reference / "logits.safetensors")
        findings = _run(folder, reference)
    findings["num_characters_without_piece"] = len(without_piece)
    if faults := _faults(findings):
        raise UserError(
            "transformers must compute from an export what simex computes; "
            f"{'; '.join(faults)}. Nothing was exported; please report it."
        )
    if reason := findings.get("logits_not_verified"):
        return {"status": f"ids verified; logits not verified: {reason}", **findings}
    return {"status": "verified", **findings}


def find_characters_without_piece(
    tokenizer: Tokenizer, texts: Sequence[str]
) -> frozenset[str]:
    """Characters of `texts` that ids cannot hold; all the rest must come back.

    As the same text or in its composed form, to which Qwen's tokenizers normalise.
    Raises UserError with the first text that loses something else.
    """

    def comes_back(text: str) -> bool:
        back = tokenizer.decode(tokenizer.encode(text))
        return back == text or _composed(back) == _composed(text)

    changed = [text for text in texts if not comes_back(text)]
    lost = frozenset(c for c in set("".join(changed)) if not comes_back(c))
    for text in changed:
        rest = "".join(c for c in text if c not in lost)
        if not comes_back(rest):
            raise UserError(
                "Text must come back from its ids, but for characters that the "
                f"vocabulary has no piece for; {rest[:200]!r} becomes "
                f"{tokenizer.decode(tokenizer.encode(rest))[:200]!r}. Such a tokenizer "
                "changes programs; nothing was exported."
            )
    return lost


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def reference_logits(
    params: Mapping[str, Any], config: ModelConfig, vocab_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [B, T] int32 below `vocab_size`, simex's logits [B, T, V] float32).

    Of every row of the embedding: others do not know which of them are ids.
    """
    num_positions = min(NUM_POSITIONS, config.max_positions)
    rng = np.random.default_rng(0)
    size = (NUM_ROWS, num_positions)
    tokens_BT = rng.integers(vocab_size, size=size, dtype=np.int32)
    positions_BT = np.broadcast_to(np.arange(num_positions, dtype=np.int32), size)
    exact = dataclasses.replace(config, compute_dtype="float32", num_ids=None)

    @jax.jit
    def compute(params: Any) -> jax.Array:
        hidden_BTD = transformer.forward(
            exact,
            params,
            tokens_BT=jnp.asarray(tokens_BT),
            segment_ids_BT=jnp.ones(size, jnp.int32),
            positions_BT=jnp.asarray(positions_BT),
        )
        return transformer.logits(exact, params, hidden_BTD)

    # Accelerators would otherwise round the inputs of a float32 product.
    with jax.default_matmul_precision("highest"):
        return tokens_BT, np.asarray(compute(dict(params)), dtype=np.float32)


def _save_reference(
    folder: pathlib.Path, tokenizer: Tokenizer, texts: Sequence[str]
) -> None:
    chats = []
    for prompt, completion in _chats_of(tokenizer):
        rendered = render(tokenizer, prompt, completion)
        chats.append(
            {
                "prompt": prompt,
                "completion": completion,
                "ids": rendered.ids.tolist(),
                "mask": rendered.loss_mask.astype(int).tolist(),
            }
        )
    encoded = [(text, tokenizer.encode(text)) for text in texts]
    known = [[text, ids, tokenizer.decode(ids)] for text, ids in encoded]
    content = {"texts": known, "chats": chats}
    (folder / "reference.json").write_text(json.dumps(content), encoding="utf-8")


def _chats_of(tokenizer: Tokenizer) -> Sequence[tuple[str, str]]:
    """Chats whose ids a template can give.

    simex tokenizes control text, prompt and completion apart. A template is tokenized as
    one text, and where its control text ends in a line break (ChatML, Llama 3), that
    joins with a blank that follows. Chats that start with a blank are left out there.
    """
    if isinstance(tokenizer, SentencePieceTokenizer):
        return _CHATS
    return [chat for chat in _CHATS if not any(text[:1].isspace() for text in chat)]


def _run(folder: pathlib.Path, reference: pathlib.Path) -> dict[str, Any]:
    offline = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",  # the trainer may own the accelerator
    }
    # -P: the script's folder, with names such as `names`, stays off the import path.
    command = [sys.executable, "-P", verify.__file__, str(folder), str(reference)]
    try:
        process = subprocess.run(
            command,
            env=os.environ | offline,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"transformers must load the export within {TIMEOUT_SECS:.0f} s; it did "
            "not. Nothing was exported; run the stage again on a quieter machine."
        ) from None
    if process.returncode:
        raise UserError(
            "transformers must be able to load the export; it failed with:\n"
            f"{process.stderr[-2000:]}"
        )
    return json.loads((reference / "findings.json").read_text(encoding="utf-8"))


def _faults(findings: Mapping[str, Any]) -> list[str]:
    faults = [
        f"{findings[f'num_{what}_differences']} of {findings[f'num_{unit}']} {unit} "
        f"differ in their {name}"
        for what, unit, name in (
            ("id", "texts", "ids"),
            ("decode", "texts", "decoded text"),
            ("chat", "chats", "ids or mask"),
        )
        if findings[f"num_{what}_differences"]
    ]
    if faults:
        faults.append(f"first: {json.dumps(findings['differences'][0])[:400]}")
    for kind in ("missing_tensors", "unexpected_tensors"):
        if findings.get(kind):
            faults.append(f"{kind.replace('_', ' ')}: {', '.join(findings[kind])}")
    difference = findings.get("max_logit_difference", 0.0)
    # Relative: float32 has 7 digits, and logits of a real model reach 50.
    allowed = MAX_LOGIT_DIFFERENCE * findings.get("largest_logit", 0.0)
    if not difference <= allowed:  # NaN is a fault, too
        faults.append(
            f"logits differ by up to {difference:.3g}, more than {allowed:.3g}"
        )
    return faults
