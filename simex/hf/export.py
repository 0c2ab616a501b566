"""Writes a model as a folder that transformers, and what reads its format, loads.

The folder appears under its name only when it is whole and was checked: it is written
beside it, loaded again by transformers in another process, compared with what simex
computes, and then renamed.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_dtypes
import numpy as np

from simex.core.errors import UserError
from simex.hf.config_export import SAMPLING, generation_json, model_json
from simex.hf.corpus import make_corpus
from simex.hf.description import CHECKPOINTS, TOKENIZER, Origin, load_description
from simex.hf.families import family_of
from simex.hf.folders import replacing_folder
from simex.hf.model_card import render_model_card
from simex.hf.names import EMBEDDING, HEAD, to_tensors
from simex.hf.shards import save_tensors
from simex.hf.tokenizer_export import load_model, save_tokenizer
from simex.hf.tokenizer_files import save_hugging_face_tokenizer
from simex.hf.verification import verify_export
from simex.models.config import ModelConfig
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.saved import AnyTokenizer, load_tokenizer
from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.train.saved_params import Choice, load_params

DTYPES: dict[str, np.dtype] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
REPORT = "export_report.json"


def export_hf(
    out: pathlib.Path,
    params: Mapping[str, Any],
    *,
    config: ModelConfig,
    tokenizer: pathlib.Path | AnyTokenizer,
    title: str,
    about: str = "",
    operative_config: str = "",
    dtype: str = "float32",
    texts: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
    origin: Origin = Origin(),
) -> dict[str, Any]:
    """Exports params to the folder `out`; an earlier export there is replaced.

    Args:
        out: the folder to make.
        params: simex's nested dict of arrays, on any devices.
        config: the model's shape. Its vocabulary may be padded above the tokenizer's:
            such rows, which simex never samples, stay behind if simex trained the
            tokenizer. Where others did, they are part of the model as others know it.
        tokenizer: of the model; a path is that of a sentencepiece that simex trained.
        title: of the model card.
        about: a paragraph for the model card.
        operative_config: every gin binding that the run read, for the model card.
        dtype: of the stored tensors, a name in `DTYPES`.
        texts: on which ids are compared, besides the built-in corpus.
        stop_ids: all ids that end a completion, besides the tokenizer's end.
        origin: what an imported model's files said; `SAMPLING` if not how to sample.

    Returns what was written to export_report.json; ``status`` says what was verified.

    Raises UserError for a model or tokenizer that the format cannot hold, a folder that
    is no export, a full disk, and for any difference that the check finds.
    """
    if isinstance(tokenizer, pathlib.Path):
        tokenizer = SentencePieceTokenizer(tokenizer)
    family = family_of(config, is_sentencepiece=_is_sentencepiece(tokenizer))
    write_tokenizer = _tokenizer_writer(tokenizer, config, origin)
    _check_vocabulary(config, tokenizer.vocab_size)
    tensors = to_tensors(params, config, dtype=_dtype(dtype))
    if isinstance(tokenizer, SentencePieceTokenizer):
        params, tensors, config = _without_padding(
            params, tensors, config, tokenizer.vocab_size
        )
    ids = {"pad_id": tokenizer.pad_id, "bos_id": origin.bos_id}
    with replacing_folder(out, marker=REPORT) as folder:
        save_tensors(folder, tensors)
        del tensors
        write_tokenizer(folder)
        _write_json(
            folder / "config.json",
            model_json(config, family, dtype=dtype, end_id=tokenizer.end_id, **ids),
        )
        _write_json(
            folder / "generation_config.json",
            generation_json(
                sampling=origin.sampling or SAMPLING,
                stop_ids=tuple(dict.fromkeys((tokenizer.end_id, *stop_ids))),
                **ids,
            ),
        )
        card = render_model_card(
            config,
            family,
            title=title,
            about=about,
            operative_config=operative_config,
            # Whoever trains from nothing trains a tokenizer; imports bring their own.
            is_from_nothing=isinstance(tokenizer, SentencePieceTokenizer),
            **_turn(tokenizer),
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        report = verify_export(
            folder,
            rounded(params, dtype),
            config=config,
            tokenizer=tokenizer,
            texts=[*make_corpus(), *texts],
        )
        if not isinstance(tokenizer, SentencePieceTokenizer):
            report["chat_template"] = "simex's, in place of any that the model had"
        _write_json(folder / REPORT, report)
    return report


def export_checkpoint(
    checkpoint: pathlib.Path,
    out: pathlib.Path,
    *,
    step: Choice = None,
    dtype: str = "bfloat16",
    title: str | None = None,
) -> dict[str, Any]:
    """Exports a folder that holds checkpoints/, tokenizer/ and model.json.

    The operative configuration of its run, two or more folders above, goes on the card.
    Returns and raises what `export_hf` does.
    """
    _dtype(dtype)  # refused before the params are read
    description = load_description(checkpoint)
    mesh = make_mesh(MeshConfig(data=1, fsdp=-1))
    params = load_params(
        checkpoint / CHECKPOINTS, description.config, mesh=mesh, step=step
    )
    return export_hf(
        out,
        params,
        config=description.config,
        tokenizer=load_tokenizer(checkpoint / TOKENIZER),
        title=title or description.title,
        operative_config=_find_operative_config(checkpoint),
        dtype=dtype,
        stop_ids=description.stop_ids,
        origin=description.origin,
    )


def _find_operative_config(checkpoint: pathlib.Path) -> str:
    for folder in checkpoint.absolute().parents[:3]:
        if (folder / "config.gin").is_file():
            return (folder / "config.gin").read_text(encoding="utf-8")
    if (checkpoint / "metrics.jsonl").exists():
        return "# not found: no config.gin stands beside the checkpoint"
    return "# imported; simex did not train it"


def _turn(tokenizer: AnyTokenizer) -> dict[str, str]:
    """How the model card describes a turn, where it is not simex's own."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return {}
    pieces = tokenizer.pieces
    user, assistant = (json.dumps(t) for t in (pieces.user, pieces.assistant))
    return {"turn": f"`{user}` prompt `{assistant}` completion `{pieces.end}`"}


def _is_sentencepiece(tokenizer: AnyTokenizer) -> bool:
    if isinstance(tokenizer, SentencePieceTokenizer):
        return True
    return tokenizer.falls_back_to_bytes


def _tokenizer_writer(
    tokenizer: AnyTokenizer, config: ModelConfig, origin: Origin
) -> Callable[[pathlib.Path], None]:
    """What writes the tokenizer's files; refuses first what cannot be exact."""
    positions = config.max_positions
    if isinstance(tokenizer, SentencePieceTokenizer):
        model = load_model(tokenizer)
        return lambda folder: save_tokenizer(folder, model, max_positions=positions)
    return lambda folder: save_hugging_face_tokenizer(
        folder, tokenizer, max_positions=positions, bos_token=origin.bos_token
    )


def _dtype(name: str) -> np.dtype:
    if name not in DTYPES:
        raise UserError(
            f"The dtype of an export must be one of {', '.join(DTYPES)}; got {name!r}."
        )
    return DTYPES[name]


def rounded(params: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The params as a loader gets them: rounded to `dtype`, held as float32."""

    def rounded_leaf(value: Any) -> np.ndarray:
        return np.asarray(value).astype(_dtype(dtype)).astype(np.float32)

    return jax.tree.map(rounded_leaf, dict(params))


def _check_vocabulary(config: ModelConfig, vocab_size: int) -> None:
    if config.vocab_size < vocab_size:
        raise UserError(
            "The embedding needs a row for each piece of the tokenizer; it has "
            f"{config.vocab_size} for {vocab_size}. Export with the tokenizer that the "
            "model was trained with."
        )


def _without_padding(
    params: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    config: ModelConfig,
    num_ids: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray], ModelConfig]:
    """All three without the rows that are no ids: others would not mask them."""
    of_ids = {
        name: tensor[:num_ids] if name in (EMBEDDING, HEAD) else tensor
        for name, tensor in tensors.items()
    }
    embedding = np.asarray(params["embedder"]["embedding"])[:num_ids]
    cut = {**params, "embedder": {"embedding": embedding}}
    if not config.tie_embeddings:
        cut["head"] = {"kernel": np.asarray(params["head"]["kernel"])[:, :num_ids]}
    known = dataclasses.replace(config, vocab_size=num_ids, num_ids=num_ids)
    return cut, of_ids, known


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
