"""What is refused before the first stage, where a later one would only stop at it."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from simex.core.config import Stage
from simex.core.errors import UserError
from simex.core.setting_values import with_defaults
from simex.doctor.presence import find_missing_stages
from simex.jobs.run_programs import run_programs
from simex.problems.splits import refuse_file
from simex.rl.presets import make_algorithm
from simex.rl.trainer import refuse_greedy


def refuse_impossible(stages: Sequence[Stage], workdir: pathlib.Path) -> None:
    """Raises UserError for a stage that is read and never made, or an impossible change.

    Annotations cannot say which names of stages, or changes of an algorithm, there are,
    nor which numbers are possible, nor that a text is to name no file.
    """
    missing = find_missing_stages(stages, workdir)
    if missing:
        raise UserError("\n".join(missing))
    for stage in stages:
        settings: dict[str, Any] = dict(with_defaults(stage.job, stage.arguments))
        if getattr(stage.job, "__name__", "") == run_programs.__name__:
            name = f"{stage.name}.problems_from"
            refuse_file(settings["problems_from"], setting=name)
        if settings.get("changes"):
            with _named(f"{stage.name}.changes"):
                make_algorithm(settings["algorithm"], settings["changes"])
        if "rollouts_per_step" in settings:
            with _named(f"{stage.name}.temperature"):
                refuse_greedy(settings["temperature"])


@contextlib.contextmanager
def _named(setting: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{setting}: {error}") from None


def refuse_rollouts_ahead(stages: Sequence[Stage], num_processes: int) -> None:
    """Raises UserError for RL that is to sample beside its updates in several processes.

    RL itself refuses that, but only when the stages before it are done.
    """
    for stage in stages:
        max_staleness = stage.arguments.get("max_staleness")
        if num_processes > 1 and max_staleness:
            raise UserError(
                f"{stage.name}.max_staleness must be 0 where {num_processes} processes "
                "are one run, since they collect and update in turns; it is "
                f"{max_staleness}. Set it to 0, or use one process."
            )
