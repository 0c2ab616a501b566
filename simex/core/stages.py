"""Runs the stages of an experiment: each once, resumed where it was stopped.

A stage that is done with the same settings, after the same stages, is passed over. One
that was stopped is called again with its folder as it left it, and resumes itself. One
whose settings changed starts in an empty folder, and so do all after it.

A job is a function of `workdir`, where the folders of all stages lie under the stages'
names, and of its own settings. If it has a parameter `stage_dir` it gets its own folder,
which exists: ``def train_sft(workdir, stage_dir, *, num_steps: int): ...``.
Its own folder is ``workdir / "nlex/train_sft"`` if run.stages lists ``@nlex/train_sft``.
"""

import contextlib
import dataclasses
import enum
import inspect
import pathlib
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import gin

from simex.core.config import Experiment, Stage, choose_stages
from simex.core.errors import UserError
from simex.core.files import write_atomically
from simex.core.owner import save_owner
from simex.core.processes import OneProcess, Processes
from simex.core.progress import format_secs
from simex.core.stamps import (
    StageState,
    Stamp,
    load_stamp,
    lost_seconds,
    save_stamp,
    stamp_path,
    started_path,
    why_different,
)
from simex.core.workdir_lock import hold_workdir


class Todo(enum.Enum):
    """What is to be done about a stage."""

    NOTHING = "done before"
    START = "to run"
    RESUME = "to resume"
    ANEW = "to run anew"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do about one stage."""

    stage: Stage
    todo: Todo
    why: str | None = None  # ANEW: what changed
    stamp: Stamp | None = None  # NOTHING: of the end; RESUME: of the start

    @property
    def is_done(self) -> bool:
        return self.todo is Todo.NOTHING


Job = TypeVar("Job", bound=Callable[..., Any])


def on_all_processes(job: Job) -> Job:
    """Marks a job that all processes of a run do together; others the first does alone.

    Put it under ``@gin.configurable``.
    """
    job.runs_on_all_processes = True  # type: ignore[attr-defined]
    return job


def plan_stages(experiment: Experiment, workdir: pathlib.Path) -> list[Plan]:
    """What a run in `workdir` would do about each stage; changes nothing."""
    plans: list[Plan] = []
    after: dict[str, str] = {}
    for stage in experiment.stages:
        plan = _plan_stage(stage, _state(stage, after), workdir)
        plans.append(plan)
        # No stamp has the id "": whatever comes after a stage to run is to run too.
        after[stage.name] = plan.stamp.id if plan.is_done and plan.stamp else ""
    return plans


def run_experiment(
    experiment: Experiment,
    workdir: pathlib.Path,
    *,
    only: Sequence[str] = (),
    processes: Processes = OneProcess(),
) -> None:
    """Runs the stages of `experiment` that are not done yet.

    Args:
      experiment: from `load_experiment`.
      workdir: made if missing; holds config.gin, .stages/ and a folder for each stage.
        It belongs to `experiment` from now on.
      only: names of stages; no others run, so those before them must be done.
      processes: that share the workdir and call this together.

    Raises:
      UserError: another run holds the workdir, or a stage before `only` is not done.
    """
    chosen = choose_stages(experiment.stages, only)
    try:
        if processes.is_first:
            _lead(experiment, chosen, workdir, processes)
        else:
            _follow(experiment, chosen[-1], workdir, processes)
    except KeyboardInterrupt:
        processes.stop_all()
        raise
    except BaseException:
        if processes.is_first:  # the others wait for none but this one
            processes.tell_failure()
        raise


def _lead(
    experiment: Experiment,
    chosen: Sequence[Stage],
    workdir: pathlib.Path,
    processes: Processes,
) -> None:
    with hold_workdir(workdir):
        _refuse_foreign_folders(experiment, workdir)
        _refuse_unfinished(plan_stages(experiment, workdir), chosen)
        with write_atomically(workdir / "config.gin") as file:
            file.write(experiment.config_text)
        save_owner(workdir, experiment)
        after: dict[str, str] = {}
        for stage in experiment.stages[: experiment.stages.index(chosen[-1]) + 1]:
            state = _state(stage, after)
            after[stage.name] = _carry_out(stage, state, workdir, processes).id


def _follow(
    experiment: Experiment,
    last: Stage,
    workdir: pathlib.Path,
    processes: Processes,
) -> None:
    """Joins in the stages that all processes do; waits for the first at all others."""
    for stage in experiment.stages[: experiment.stages.index(last) + 1]:
        processes.wait(f"{stage.name} begins")
        if load_stamp(stamp_path(workdir, stage.name)) is None and is_for_all(stage):
            with processes.together():
                _call_job(stage, workdir)
        processes.wait(f"{stage.name} ends")


def is_for_all(stage: Stage) -> bool:
    """Whether all processes do the stage together, and not the first one alone."""
    return getattr(stage.job, "runs_on_all_processes", False)


def _state(stage: Stage, after: Mapping[str, str]) -> StageState:
    return StageState(settings=stage.settings, after=dict(after))


def _plan_stage(stage: Stage, state: StageState, workdir: pathlib.Path) -> Plan:
    done = load_stamp(stamp_path(workdir, stage.name))
    stamp = done or load_stamp(started_path(workdir, stage.name))
    if stamp is None:
        return Plan(stage=stage, todo=Todo.START)
    why = why_different(stamp.state, state)
    if why is None and not (workdir / stage.name).is_dir():
        why = "its folder is gone"
    if why is not None:
        return Plan(stage=stage, todo=Todo.ANEW, why=why)
    return Plan(stage=stage, todo=Todo.NOTHING if done else Todo.RESUME, stamp=stamp)


def _carry_out(
    stage: Stage, state: StageState, workdir: pathlib.Path, processes: Processes
) -> Stamp:
    """Does what is to be done about a stage; its stamp when it is done."""
    plan = _plan_stage(stage, state, workdir)
    if plan.is_done and plan.stamp is not None:
        _say(f"{stage.name}: done before ({format_secs(plan.stamp.seconds)})")
        processes.wait(f"{stage.name} begins")
        processes.wait(f"{stage.name} ends")
        return plan.stamp
    folder = workdir / stage.name
    seconds = 0.0
    if plan.todo is Todo.RESUME and plan.stamp is not None:
        seconds = plan.stamp.seconds + lost_seconds(plan.stamp, folder)
        _say(f"{stage.name}: goes on after {format_secs(seconds)}")
    else:
        _say(f"{stage.name}: starts" + (f" anew: {plan.why}" if plan.why else ""))
        # Both stamps first: a folder that is half cleared must never be resumed.
        started_path(workdir, stage.name).unlink(missing_ok=True)
        stamp_path(workdir, stage.name).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    started = Stamp(state=state, id=uuid.uuid4().hex, seconds=seconds)
    done = _timed_call(stage, started, workdir, processes)
    processes.wait(f"{stage.name} ends")
    _say(f"{stage.name}: done in {format_secs(done.seconds)}")
    return done


def _timed_call(
    stage: Stage, started: Stamp, workdir: pathlib.Path, processes: Processes
) -> Stamp:
    """Calls the job between its two stamps; however it ends, its seconds are kept."""
    path = started_path(workdir, stage.name)
    save_stamp(path, dataclasses.replace(started, under_way_since=time.time()))
    begin = time.monotonic()

    def worked() -> Stamp:
        seconds = started.seconds + time.monotonic() - begin
        return dataclasses.replace(started, seconds=seconds)

    with contextlib.ExitStack() as on_failure:
        on_failure.callback(lambda: save_stamp(path, worked()))
        processes.wait(f"{stage.name} begins")
        with processes.together() if is_for_all(stage) else processes.alone():
            _call_job(stage, workdir)
        on_failure.pop_all()
    done = worked()
    save_stamp(stamp_path(workdir, stage.name), done)
    path.unlink()
    return done


def _call_job(stage: Stage, workdir: pathlib.Path) -> None:
    given: dict[str, object] = {"workdir": workdir}
    if "stage_dir" in inspect.signature(stage.job).parameters:
        given["stage_dir"] = workdir / stage.name
    scopes = stage.name.split("/")[:-1]
    with gin.config_scope("/".join(scopes) or None):
        stage.job(**given, **stage.arguments)


def _refuse_unfinished(plans: Sequence[Plan], chosen: Sequence[Stage]) -> None:
    before = plans[: [p.stage for p in plans].index(chosen[-1])]
    missing = [p for p in before if not p.is_done and p.stage not in chosen]
    if missing:
        names = ", ".join(p.stage.name for p in missing)
        first = missing[0]
        why = f" ({first.why})" if first.why else ""
        raise UserError(
            f"{chosen[-1].name} needs the stages before it to be done; still "
            f"{first.todo.value}{why}: {names}. Run without --only, or name them too."
        )


def _refuse_foreign_folders(experiment: Experiment, workdir: pathlib.Path) -> None:
    """Never clears a folder that no run made."""
    if (workdir / ".stages").exists():
        return
    for stage in experiment.stages:
        folder = workdir / stage.name
        if folder.exists() and any(folder.iterdir()):
            raise UserError(
                f"{workdir} must be new or the workdir of an earlier run; it holds "
                f"{folder}, which no run made. Choose another --workdir."
            )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
