"""model.json: what a checkpoint folder must say so that others can load it."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from simex.core.errors import UserError
from simex.core.files import write_bytes_atomically
from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.rope import RopeScaling

FILE = "model.json"
CHECKPOINTS, TOKENIZER = "checkpoints", "tokenizer"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What the files of an imported model say to others than simex; exports repeat it."""

    bos_token: str | None = None  # of tokenizer_config.json
    bos_id: int | None = None  # of config.json
    # Temperature and the like, of generation_config.json.
    sampling: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """A model beside its `checkpoints/` and `tokenizer/`."""

    config: ModelConfig
    stop_ids: tuple[int, ...]  # all ids that end a completion
    title: str = "simex"
    origin: Origin = Origin()


def save_description(folder: pathlib.Path, description: Description) -> None:
    """Writes model.json."""
    text = json.dumps(dataclasses.asdict(description), indent=2) + "\n"
    write_bytes_atomically(folder / FILE, text.encode())


def load_description(folder: pathlib.Path) -> Description:
    """Reads model.json. Raises UserError when it is missing or not as saved."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"{folder} must hold {FILE}, as every training stage and import leaves it; "
            "it does not. Name the folder that holds checkpoints/; a stage of a version "
            "that left none must be run anew."
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config = content["config"]
        config["rope_scaling"] = RopeScaling(**config["rope_scaling"])
        config["windows"] = tuple(config["windows"])
        if experts := config["experts"]:
            experts["dense_layers"] = tuple(experts["dense_layers"])
            config["experts"] = ExpertsConfig(**experts)
        return Description(
            config=ModelConfig(**config),
            stop_ids=tuple(content["stop_ids"]),
            title=content["title"],
            origin=Origin(**content.get("origin", {})),  # older files have none
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} must be as simex wrote it ({error!r}).") from None
