"""A Hugging Face folder as a checkpoint of simex, its tokenizer and its description."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.hf.config_import import parse_family, parse_model_json
from simex.hf.description import (
    CHECKPOINTS,
    FILE,
    TOKENIZER,
    Description,
    Origin,
    save_description,
)
from simex.hf.families import QWEN2, Family
from simex.hf.folders import replacing_folder
from simex.hf.params_import import check_tensors, load_params_sharded
from simex.hf.tensor_files import find_tensors
from simex.models.config import ModelConfig
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.saved import AnyTokenizer, load_tokenizer, save_tokenizer
from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.train.saved_params import save_params


def import_hf(
    source: pathlib.Path, out: pathlib.Path, *, mesh: Mesh | None = None
) -> Description:
    """Writes checkpoints/ (step 0), tokenizer/ and model.json to the folder `out`.

    Tensors keep their types on disk and are read one at a time, each device its own
    part. Everything is checked before anything is written.

    Args:
        source: config.json, safetensors, tokenizer.json or simex's tokenizer.model.
        out: the folder to make; an earlier import there is replaced.
        mesh: the devices that hold the model meanwhile; by default each holds a part.

    Raises UserError, with names and numbers, for a model that simex cannot compute, for
    tensors that are missing, extra, misshapen or truncated, and for a tokenizer that
    does not fit.
    """
    if (out / "metrics.jsonl").exists():
        raise UserError(
            f"Only an earlier import is replaced; {out} holds a model that was trained. "
            "Name another folder."
        )
    content = _read_json(source / "config.json")
    family, config = parse_family(content), parse_model_json(content)
    tensors = find_tensors(source)
    check_tensors(tensors, config)
    tokenizer = load_tokenizer(source)
    check_tokenizer(tokenizer, config, family)
    description = Description(
        config=dataclasses.replace(config, num_ids=tokenizer.vocab_size),
        stop_ids=_stop_ids(source, content, tokenizer),
        title=source.name,
        origin=_origin(source, content, tokenizer),
    )
    with replacing_folder(out, marker=FILE) as folder:
        params = load_params_sharded(
            tensors, config, mesh or make_mesh(MeshConfig(data=1, fsdp=-1))
        )
        save_params(folder / CHECKPOINTS, params)
        (folder / TOKENIZER).mkdir()
        save_tokenizer(tokenizer, folder / TOKENIZER)
        save_description(folder, description)
    return description


def check_tokenizer(
    tokenizer: AnyTokenizer, config: ModelConfig, family: Family
) -> None:
    """Raises UserError when ids have no embedding, or transformers would change ids."""
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            "The embedding needs a row for each piece of the tokenizer; it has "
            f"{config.vocab_size} for {tokenizer.vocab_size}. The tokenizer belongs to "
            "another model."
        )
    is_sentencepiece = (
        isinstance(tokenizer, SentencePieceTokenizer) or tokenizer.falls_back_to_bytes
    )
    if family is QWEN2 and is_sentencepiece:
        raise UserError(
            f"A {family.model_type} cannot have a sentencepiece tokenizer "
            f"({tokenizer.path.name} has {tokenizer.vocab_size} pieces with byte "
            "fallback): transformers would give other ids. Convert the model to llama "
            "or qwen3."
        )


def _stop_ids(
    source: pathlib.Path, content: Mapping[str, Any], tokenizer: AnyTokenizer
) -> tuple[int, ...]:
    """The chat's end, then what the configs call ends, each once."""
    generation = _read_json_if_there(source / "generation_config.json")
    ids = [tokenizer.end_id]
    for value in (generation.get("eos_token_id"), content.get("eos_token_id")):
        ids += value if isinstance(value, list) else [] if value is None else [value]
    return tuple(dict.fromkeys(i for i in ids if i < tokenizer.vocab_size))


# Of generation_config.json, besides ids: how its authors would have it sampled.
_SAMPLING = (
    "do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty",
)  # fmt: skip


def _origin(
    source: pathlib.Path, content: Mapping[str, Any], tokenizer: AnyTokenizer
) -> Origin:
    """What simex has no use for, and whoever loads an export has."""
    generation = _read_json_if_there(source / "generation_config.json")
    token = _read_json_if_there(source / "tokenizer_config.json").get("bos_token")
    token = token.get("content") if isinstance(token, dict) else token
    number = content.get("bos_token_id", generation.get("bos_token_id"))
    is_id = isinstance(number, int) and 0 <= number < tokenizer.vocab_size
    return Origin(
        bos_token=token if isinstance(token, str) else None,
        bos_id=number if is_id else None,
        sampling={
            key: generation[key] for key in _SAMPLING if generation.get(key) is not None
        },
    )


def _read_json_if_there(path: pathlib.Path) -> dict[str, Any]:
    return _read_json(path) if path.is_file() else {}


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path.parent} must hold {path.name}; it does not.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} must be JSON ({error}).") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a JSON object.")
    return content
