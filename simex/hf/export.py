"""Writes a model as a folder that transformers, and what reads its format, loads.

The folder appears under its name only when it is whole and was checked: it is written
beside it, loaded again by transformers in another process, compared with what simex
computes, and then renamed.
"""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_dtypes
import numpy as np

from simex.core.errors import UserError
from simex.core.files import disk_full_error
from simex.hf.config_export import generation_json, model_json
from simex.hf.corpus import make_corpus
from simex.hf.families import family_of
from simex.hf.model_card import render_model_card
from simex.hf.names import to_tensors
from simex.hf.shards import save_tensors
from simex.hf.tokenizer_export import load_model, save_tokenizer
from simex.hf.verification import verify_export
from simex.models.config import ModelConfig
from simex.tokens.tokenizer import SentencePieceTokenizer

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
    tokenizer: pathlib.Path,
    title: str,
    about: str = "",
    operative_config: str = "",
    dtype: str = "float32",
    temperature: float = 1.0,
    top_p: float = 0.95,
    texts: Sequence[str] = (),
) -> dict[str, Any]:
    """Exports params to the folder `out`; an earlier export there is replaced.

    Args:
        out: the folder to make.
        params: simex's nested dict of arrays, on any devices.
        config: the model's shape. Its vocabulary may be padded above the tokenizer's.
        tokenizer: the sentencepiece model that simex trained.
        title: of the model card.
        about: a paragraph for the model card.
        operative_config: every gin binding that the run read, for the model card.
        dtype: of the stored tensors, a name in `DTYPES`.
        temperature: default of sampling, in generation_config.json.
        top_p: the same.
        texts: on which ids are compared, besides the built-in corpus.

    Returns what was written to export_report.json; ``status`` says what was verified.

    Raises UserError for a model or tokenizer that the format cannot hold, a folder that
    is no export, a full disk, and for any difference that the check finds.
    """
    family = family_of(config)
    own_tokenizer = SentencePieceTokenizer(tokenizer)
    model = load_model(own_tokenizer)
    _check_vocabulary(config, own_tokenizer.vocab_size)
    tensors = to_tensors(params, config, dtype=_dtype(dtype))
    with _replacing_folder(out) as folder:
        save_tensors(folder, tensors)
        save_tokenizer(folder, model, max_positions=config.max_positions)
        _write_json(folder / "config.json", model_json(config, family, dtype=dtype))
        _write_json(
            folder / "generation_config.json",
            generation_json(temperature=temperature, top_p=top_p),
        )
        card = render_model_card(
            config, family, title=title, about=about, operative_config=operative_config
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        report = verify_export(
            folder,
            rounded(params, dtype),
            config=config,
            tokenizer=own_tokenizer,
            texts=[*make_corpus(), *texts],
        )
        _write_json(folder / REPORT, report)
    return report


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


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def _replacing_folder(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new folder that becomes `out` if the block ends well, and else disappears."""
    if out.exists() and not (out / REPORT).is_file():
        raise UserError(
            f"An export replaces only an earlier export; {out} is something else. "
            "Move it away, or export to another folder."
        )
    folder, old = out.with_name(f".{out.name}.tmp"), out.with_name(f".{out.name}.old")
    _remove(folder, old)  # of a run that was stopped
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.exists():  # a folder cannot be renamed onto a full one
            out.rename(old)
        folder.rename(out)
    except OSError as error:
        raise disk_full_error(error, out) or error
    finally:
        _remove(folder, old)


def _remove(*folders: pathlib.Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
