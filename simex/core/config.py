"""Experiment files: loads one, checks all of it, and holds what will run.

Example: ``load_experiment("experiments/quickstart.gin", ["train_sft.num_steps=100"])``
gives an `Experiment`; `simex.core.stages.run_experiment(experiment, workdir)` runs it.
"""

import dataclasses
import difflib
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import gin

from simex.core.bindings import Reference, find_experiment, read_bindings
from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.core.resolve import Resolver, Setting, refuse_missing_arguments
from simex.core.setting_values import Deferred, describe

_ROOT = Reference(scopes=(), name="run", is_called=True)


@gin.configurable(module="simex")
def run(*, stages: list[Callable[..., object]], cpu_devices: int | None = None) -> None:
    """What an experiment file says of the whole run; read, never called.

    Args:
      stages: the jobs in their order, e.g. ``[@problems, @nlex/train_sft]``.
      cpu_devices: how many devices jax makes of the CPU; None is the most, up to one a
        core, over which the rows of every stage divide.
    """
    raise TypeError("`run` holds settings of an experiment; it is not a job.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A job with its settings, under the name by which a run knows it."""

    name: str  # "nlex/train_sft"
    job: Callable[..., object]
    arguments: Mapping[str, object]

    @property
    def settings(self) -> dict[str, str]:
        """Every setting as flat text, defaults included: ``{"model.width": "256"}``."""
        described = describe(
            Deferred(name=self.name, function=self.job, arguments=self.arguments)
        )
        return {key: text for key, text in described.items() if key}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A checked experiment file: every name known, every value possible."""

    name: str  # of the file, without .gin
    path: pathlib.Path
    stages: tuple[Stage, ...]
    cpu_devices: int | None
    settings: tuple[Setting, ...]  # all that the stages use, defaults included

    @property
    def config_text(self) -> str:
        """All settings as an experiment file that gives the same run again."""
        lines = [f"# Every setting of the run of {self.path.name}, defaults included."]
        lines += [f"{s.key} = {s.text}" for s in self.settings if s.text is not None]
        return "\n".join(lines) + "\n"

    @property
    def changed_settings(self) -> tuple[Setting, ...]:
        """Settings that a line gave a value other than their default."""
        return tuple(s for s in self.settings if s.where and s.text != s.default)


def load_experiment(
    path: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> Experiment:
    """Reads and checks an experiment file.

    Jobs and constructors must be registered before (`simex.jobs.wiring.register`).

    Args:
      path: a gin file; looked for as given, then in experiments/.
      overrides: "name=value" each; they win over the file.

    Raises:
      UserError: a file is missing, a line cannot be read, a name is unknown, a value
        does not fit, or a binding is read by no stage. The message names the line.
    """
    found = find_experiment(pathlib.Path(path))
    resolver = Resolver(read_bindings(found, overrides))
    root = resolver.deferred(_ROOT, (), where=str(found))
    refuse_missing_arguments(root, where=str(found))
    stages = _stages(root.arguments["stages"], where=str(found))
    _refuse_unread(resolver)
    return Experiment(
        name=found.stem,
        path=found,
        stages=stages,
        cpu_devices=_cpu_devices(root, where=str(found)),
        settings=tuple(resolver.settings.values()),
    )


def _stages(jobs: object, *, where: str) -> tuple[Stage, ...]:
    stages: dict[str, Stage] = {}
    for job in jobs if isinstance(jobs, list) else []:
        if not isinstance(job, Deferred):
            raise UserError(f"{where}: run.stages lists jobs as @name; got {job!r}.")
        if job.name in stages:
            _refuse_scope(job, where=where, is_twice=True)
            raise UserError(
                f"{where}: run.stages lists {job.name} twice; give one of them a scope, "
                f"such as @again/{job.name}."
            )
        refuse_missing_arguments(job, where=where)
        _refuse_scope(job, where=where)
        stages[job.name] = Stage(
            name=job.name, job=job.function, arguments=job.arguments
        )
    for name in stages:
        inside = [other for other in stages if other.startswith(f"{name}/")]
        if inside:  # the one would clear the folder of the other
            raise UserError(
                f"{where}: the scope of {inside[0]} must not be the name of a stage; "
                f"{name} is one. Choose another scope."
            )
    if not stages:
        raise UserError(f"{where}: run.stages must list at least one job.")
    return tuple(stages.values())


def _refuse_scope(job: Deferred, *, where: str, is_twice: bool = False) -> None:
    """A job without a folder of its own would find the files of its namesake."""
    scope, _, name = job.name.rpartition("/")
    if (scope or is_twice) and "stage_dir" not in inspect.signature(
        job.function
    ).parameters:
        raise UserError(
            f"{where}: {name} must stand in run.stages once, without a scope, since it "
            f"always writes the folder {name}; got {job.name}. Run the other one in a "
            "workdir of its own."
        )


def _cpu_devices(root: Deferred, *, where: str) -> int | None:
    count = root.arguments.get("cpu_devices")
    if isinstance(count, int) and count < 1:
        raise UserError(f"{where}: run.cpu_devices must be at least 1; got {count}.")
    return count if isinstance(count, int) else None


def _refuse_unread(resolver: Resolver) -> None:
    lines = []
    for binding in resolver.unread():
        known = resolver.read_macros if binding.is_macro else resolver.settings
        near = difflib.get_close_matches(binding.key, known, n=1)
        question = f" Did you mean {near[0]}?" if near else ""
        lines.append(
            f"{binding.where}: {binding.key} is set, but no stage of run.stages reads "
            f"it.{question}"
        )
    if lines:
        lines.append("Take it out, or refer to it from a stage.")
        raise UserError("\n".join(lines))


def choose_stages(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    """The stages called `names`, in the order of the run; all of them for no names.

    Raises:
      UserError: a name is no stage.
    """
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            raise unknown_name("stage", name, known)
    return [stage for stage in stages if not names or stage.name in names]
