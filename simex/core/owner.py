"""Which experiment a workdir belongs to: the one that ran there last.

``.experiment.json`` names its file and its stages; in the folder of a sweep also the
settings whose values the names of the runs tell. Two files may have one name
(smoke.gin and study/smoke.gin) and would have one default workdir, where each would
clear the stages of the other.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

from simex.core.config import Experiment
from simex.core.errors import UserError
from simex.core.files import write_atomically


@dataclasses.dataclass(frozen=True, kw_only=True)
class Owner:
    """What a workdir knows of the experiment that ran there last."""

    path: str  # of its file, from the workdir: a checkout may be moved as a whole
    stages: tuple[str, ...]
    swept: tuple[str, ...] = ()  # of a sweep: the keys, sorted


def default_workdir(experiment: Experiment, *, suffix: str = "") -> pathlib.Path:
    """``runs/`` and the name of the experiment's file.

    Raises:
      UserError: another file ran there last, so that its stages would be cleared.
    """
    workdir = pathlib.Path("runs") / f"{experiment.name}{suffix}"
    owner = load_owner(workdir)
    if owner is not None and owner.path != _path_from(workdir, experiment):
        theirs = os.path.normpath(workdir / owner.path)
        raise UserError(
            f"{workdir} must belong to {experiment.path}; {theirs} ran there last. "
            f"Choose another folder with --workdir, or say --workdir {workdir} to clear "
            "what has other settings."
        )
    return workdir


def load_owner(workdir: pathlib.Path) -> Owner | None:
    """The owner of `workdir`; None for a new one.

    Raises:
      UserError: its record is damaged.
    """
    path = _record_path(workdir)
    if not path.exists():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Owner(
            path=fields["path"],
            stages=tuple(fields["stages"]),
            swept=tuple(fields["swept"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} must name the experiment of its folder; it cannot be read "
            f"({error}). Delete it: the next run writes it again."
        ) from None


def save_owner(
    workdir: pathlib.Path, experiment: Experiment, *, swept: Sequence[str] = ()
) -> None:
    """Makes `experiment` the owner of `workdir`."""
    owner = Owner(
        path=_path_from(workdir, experiment),
        stages=tuple(stage.name for stage in experiment.stages),
        swept=tuple(sorted(swept)),
    )
    with write_atomically(_record_path(workdir)) as file:
        json.dump(dataclasses.asdict(owner), file, indent=1)


def _record_path(workdir: pathlib.Path) -> pathlib.Path:
    return workdir / ".experiment.json"


def _path_from(workdir: pathlib.Path, experiment: Experiment) -> str:
    return os.path.relpath(experiment.path, workdir)
