"""What a workdir remembers of each stage: with which settings, after what, how long.

``.stages/<name>.started.json`` is written when a stage starts, ``.stages/<name>.json``
when it is done. Both hold a `StageState`; two equal states would make the same files.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import simex
from simex.core.errors import UserError
from simex.core.files import write_atomically
from simex.core.owner import load_owner


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageState:
    """All that the files of a stage depend on."""

    settings: Mapping[str, str]
    after: Mapping[str, str]  # the id of each earlier stage's stamp, by its name
    version: str = simex.__version__


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stamp:
    """A stage that was started, or is done."""

    state: StageState
    id: str  # new each time that the stage is run to its end
    seconds: float  # of work so far, over all interruptions
    under_way_since: float | None = None  # epoch seconds; None: not at work


def stamp_path(workdir: pathlib.Path, stage_name: str) -> pathlib.Path:
    """Where the stamp of a stage that is done lies."""
    return workdir / ".stages" / f"{stage_name}.json"


def started_path(workdir: pathlib.Path, stage_name: str) -> pathlib.Path:
    """Where the stamp of a stage that was started lies."""
    return workdir / ".stages" / f"{stage_name}.started.json"


def load_stamp(path: pathlib.Path) -> Stamp | None:
    """The stamp at `path`, None if there is none.

    Raises:
      UserError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Stamp(**{**fields, "state": StageState(**fields["state"])})
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} must be a stamp of simex {simex.__version__}; it cannot be read "
            f"({error}). Delete it: its stage will run anew."
        ) from None


def save_stamp(path: pathlib.Path, stamp: Stamp) -> None:
    """Writes `stamp` atomically."""
    with write_atomically(path) as file:
        json.dump(dataclasses.asdict(stamp), file, indent=1, sort_keys=True)


def why_different(old: StageState, new: StageState) -> str | None:
    """What sets two states apart, for people; None if nothing does.

    Example: "num_steps is 200, was 100".
    """
    if old.version != new.version:
        return f"simex is {new.version}, was {old.version}"
    changes = [
        f"{key} is {new.settings.get(key, 'gone')}, was {old.settings.get(key, 'unset')}"
        for key in sorted({*old.settings, *new.settings})
        if old.settings.get(key) != new.settings.get(key)
    ]
    if changes:
        return "; ".join(changes[:3]) + (" ..." if len(changes) > 3 else "")
    for name in [*new.after, *old.after]:
        if name not in new.after:
            return f"stage {name} no longer comes before it"
        if name not in old.after:
            return f"stage {name} now comes before it"
        if old.after[name] != new.after[name]:
            return f"stage {name} runs anew"
    return None


def seconds_by_stage(workdir: pathlib.Path) -> dict[str, float]:
    """Seconds of work of every stage that is done, by its name, in their order.

    Stages that the experiment no longer has do not count, though their stamps are kept.
    """
    owner = load_owner(workdir)
    names = _names_of_stamps(workdir) if owner is None else owner.stages
    stamps = {name: load_stamp(stamp_path(workdir, name)) for name in names}
    return {name: stamp.seconds for name, stamp in stamps.items() if stamp}


def has_stage(workdir: pathlib.Path, name: str) -> bool:
    """Whether files of the stage `name` belong to the run.

    A workdir that was copied from another experiment's has more files than stages.
    """
    owner = load_owner(workdir)
    return owner is None or name in owner.stages


def _names_of_stamps(workdir: pathlib.Path) -> list[str]:
    """Of a workdir that does not know its experiment: in the order they were written."""
    folder = workdir / ".stages"
    return [
        path.relative_to(folder).as_posix().removesuffix(".json")
        for path in sorted(folder.rglob("*.json"), key=_written_at)
        if not path.name.endswith(".started.json")
    ]


def _written_at(path: pathlib.Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.as_posix()


def lost_seconds(stamp: Stamp, stage_dir: pathlib.Path) -> float:
    """Work of an attempt that was killed outright, up to the last file it wrote."""
    if stamp.under_way_since is None:
        return 0.0
    written = [p.stat().st_mtime for p in stage_dir.rglob("*") if p.exists()]
    last = max(written, default=stamp.under_way_since)
    return max(0.0, min(last, time.time()) - stamp.under_way_since)
