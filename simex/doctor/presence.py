"""Whether what the stages of an experiment read is there, or will be when they run."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simex.core.config import Stage
from simex.core.setting_values import with_defaults
from simex.jobs.pretrained import PretrainedDecoder
from simex.jobs.setup import DecoderShape, Setup
from simex.nlex.completion.endpoint import Endpoint
from simex.train.saved_params import split_choice

# Settings that name a stage before, or a folder that it leaves; lists of such, too.
STAGES = (
    "after", "before", "candidates", "checkpoint", "checkpoints", "dataset", "datasets",
    "dedicated", "explanations", "functions_from", "init_from", "items", "items_from",
    "model", "own", "predicting", "predictions", "problems", "problems_from", "rows",
    "solver", "solving", "untrained", "verifier",
)  # fmt: skip
# Settings that name a file or folder outside the workdir, as (source, path) pairs too.
FILES = (
    "data", "evaluation", "inputs", "more_examples", "path", "paths", "root", "runs",
    "source", "tokenizer",
)  # fmt: skip


def find_missing(stages: Sequence[Stage], workdir: pathlib.Path) -> list[str]:
    """A sentence for everything that a stage reads and nobody makes before it."""
    return find_missing_stages(stages, workdir) + [
        f"{stage.name}.{setting} is {path}, which does not exist"
        for stage in stages
        for settings in _settings_of(stage)
        for setting, path in _files_read(settings)
        if not pathlib.Path(path).exists()
    ]


def find_missing_stages(stages: Sequence[Stage], workdir: pathlib.Path) -> list[str]:
    """A sentence for every stage, or part of one, that is read and never made."""
    missing: list[str] = []
    before: list[str] = []
    for stage in stages:
        names = itertools.chain.from_iterable(map(_stages_read, _settings_of(stage)))
        missing += [
            f"{stage.name} reads {name}, which no stage before it makes and which is "
            f"not in {workdir}"
            for name in dict.fromkeys(names)
            if not _will_be_there(name, before, workdir)
        ]
        before.append(stage.name)
    return missing


def _will_be_there(name: str, before: Sequence[str], workdir: pathlib.Path) -> bool:
    is_made = any(name == b or name.startswith(f"{b}/") for b in before)
    return is_made or (workdir / name).exists()


def _settings_of(stage: Stage) -> Iterator[dict[str, Any]]:
    """A stage's own, and those of every config among or inside them."""
    settings = with_defaults(stage.job, stage.arguments)
    yield settings
    yield from _settings_inside(settings)


def _settings_inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list | tuple | Mapping):
        members = value.values() if isinstance(value, Mapping) else value
        yield from itertools.chain.from_iterable(map(_settings_inside, members))
    # The model of an endpoint is no stage of ours.
    is_config = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if is_config and not isinstance(value, Endpoint):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        yield fields
        yield from _settings_inside(fields)


def _stages_read(settings: dict[str, Any]) -> Iterator[str]:
    for setting in STAGES:
        for name in _texts(settings.get(setting)):
            yield split_choice(name)[0]
    setup = settings.get("setup")
    if isinstance(setup, Setup):
        match setup.decoder:
            case DecoderShape():
                yield "train_tokenizer"
            case PretrainedDecoder():
                yield setup.decoder.stage


def _files_read(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for setting in FILES:
        value = settings.get(setting)
        for member in value if isinstance(value, list | tuple) else [value]:
            path = member[-1] if isinstance(member, list | tuple) else member
            yield from ((setting, path) for path in _texts(path))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Mapping):
        return _texts(list(value.values()))
    if isinstance(value, list | tuple):
        return list(itertools.chain.from_iterable(map(_texts, value)))
    return []
