"""The check list of `simex doctor`: each check is one line that is ok, warn or fail."""

import dataclasses
import enum
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from simex.core.config import Experiment, Stage
from simex.core.errors import InfraError, UserError
from simex.core.progress import format_secs
from simex.core.setting_values import with_defaults
from simex.core.stages import plan_stages
from simex.doctor.divisibility import (
    divide_in_words,
    mesh_of,
    shards_of,
    uneven_rows,
)
from simex.doctor.duration import (
    matmul_flops,
    measure_flops_per_sec,
    require_steps,
)
from simex.doctor.memory import estimate_memory, machine_bytes
from simex.doctor.presence import find_missing
from simex.doctor.tiny_sft import run_tiny_export, run_tiny_sft
from simex.doctor.tiny_step import MODEL, run_tiny_step
from simex.jobs.export import export
from simex.jobs.planned import planned_stages
from simex.plans.stage import SftStage
from simex.plans.stage import Stage as Planned
from simex.problems.problem import TestCase, Visibility
from simex.sandbox.judge import judge
from simex.sandbox.pool import SandboxPool


class Status(enum.Enum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the list."""

    name: str
    status: Status
    text: str


def run_checks(experiment: Experiment | None, workdir: pathlib.Path) -> Iterator[Check]:
    """Every check of this machine and, where one is named, of an experiment."""
    yield _check("devices", _devices)
    yield _check("sandbox", _sandbox)
    if experiment is None:
        return
    yield _check("stages", lambda: _stages(experiment, workdir))
    yield _check("data", lambda: _data(experiment, workdir))
    for stage in experiment.stages:
        if mesh_of(stage) is not None:
            yield _check(f"rows of {stage.name}", lambda s=stage: _rows(s))  # type: ignore[misc]
    yield from _check_training(experiment)
    for stage in experiment.stages:
        if "objectives" in stage.arguments and mesh_of(stage) is not None:
            yield _check(f"tiny step of {stage.name}", lambda s=stage: _step(s))  # type: ignore[misc]
        if getattr(stage.job, "__name__", "") == export.__name__:
            dtype = str(with_defaults(stage.job, stage.arguments)["dtype"])
            yield _check(f"tiny {stage.name}", lambda d=dtype: run_tiny_export(d))  # type: ignore[misc]


def _check_training(experiment: Experiment) -> Iterator[Check]:
    """Memory, time and a supervised step of the stages that train."""
    try:
        planned = planned_stages(experiment)
    except UserError as error:
        yield Check(name="training", status=Status.WARN, text=str(error))
        return
    numbers = {
        stage.name: with_defaults(stage.job, stage.arguments).get("num_steps")
        for stage in experiment.stages
    }
    for plan in planned:
        yield _check(f"memory of {plan.name}", lambda p=plan: _memory(p))  # type: ignore[misc]
    yield _check("time", lambda: _time(planned, numbers))
    for plan in planned:
        if isinstance(plan, SftStage):
            yield _check(f"tiny step of {plan.name}", lambda p=plan: _sft_step(p))  # type: ignore[misc]


def _check(name: str, ask: Callable[[], str | tuple[Status, str]]) -> Check:
    try:
        answer = ask()
    except (UserError, InfraError, jax.errors.JaxRuntimeError) as error:
        return Check(name=name, status=Status.FAIL, text=str(error))
    status, text = (Status.OK, answer) if isinstance(answer, str) else answer
    return Check(name=name, status=status, text=text)


def _devices() -> str:
    return f"{jax.device_count()} x {jax.default_backend()}"


def _sandbox() -> str | tuple[Status, str]:
    test = TestCase(stdin="2 3", expected_stdout="5", visibility=Visibility.PUBLIC)
    source = "print(sum(map(int, input().split())))"
    with SandboxPool(num_workers=1) as pool:
        backend = pool.backend_name
        judgement = judge(pool, [test], "lines", source)
    if not judgement.is_accepted:
        return Status.FAIL, f"{backend} judged a right program as {judgement}"
    weaker = not backend.startswith("bubblewrap")
    return Status.WARN if weaker else Status.OK, f"{backend} ran a program"


def _stages(experiment: Experiment, workdir: pathlib.Path) -> str:
    plans = plan_stages(experiment, workdir)
    done = [plan for plan in plans if plan.is_done and plan.stamp]
    secs = sum(plan.stamp.seconds for plan in done if plan.stamp)
    took = f", which took {format_secs(secs)}" if done else ""
    return f"{len(done)} of {len(plans)} are done in {workdir}{took}"


def _rows(stage: Stage) -> str | tuple[Status, str]:
    found = uneven_rows(stage, jax.device_count())
    if found:
        return Status.FAIL, "; ".join(found)
    mesh = mesh_of(stage)
    assert mesh is not None
    shards = shards_of(mesh, jax.device_count())
    rollouts, sizes = stage.arguments.get("rollouts_per_step"), _group_sizes(stage)
    if isinstance(rollouts, int) and len(sizes) == 1 and rollouts % shards:
        words = divide_in_words(rollouts, shards, group=sizes.pop())
        return Status.WARN, f"{words}; slots of the sampler will idle"
    return f"divide over {shards} devices"


def _group_sizes(stage: Stage) -> set[int]:
    objectives = stage.arguments.get("objectives", [])
    assert isinstance(objectives, list | tuple)
    return {objective.group_size for objective in objectives}


def _data(experiment: Experiment, workdir: pathlib.Path) -> str | tuple[Status, str]:
    missing = find_missing(experiment.stages, workdir)
    if missing:
        return Status.FAIL, "; ".join(missing)
    return "tokenizers, datasets and files are there, or a stage before makes them"


def _memory(plan: Planned) -> str | tuple[Status, str]:
    need, there = estimate_memory(plan), machine_bytes()
    text = f"about {need.total / 2**20:,.0f} MiB of {there / 2**20:,.0f}: {need}"
    return (Status.FAIL if there and need.total > there else Status.OK), text


def _time(
    planned: Sequence[Planned], numbers: Mapping[str, object]
) -> str | tuple[Status, str]:
    speed = measure_flops_per_sec()
    secs = {
        plan.name: matmul_flops(plan, require_steps(numbers[plan.name], plan.name))
        / speed
        for plan in planned
    }
    each = ", ".join(f"{name} {format_secs(s)}" for name, s in secs.items())
    return (
        f"training takes at least {format_secs(sum(secs.values()))} at "
        f"{speed / 1e9:,.0f} GFLOP/s; often twice as long, and other stages come on "
        f"top ({each})"
    )


def _sft_step(plan: SftStage) -> str | tuple[Status, str]:
    loss, expected = run_tiny_sft(plan), math.log(MODEL["vocab_size"])
    text = (
        f"one update done; loss {loss:.2f} of untrained params, ln 64 = {expected:.2f}"
    )
    return (Status.OK if abs(loss - expected) < 1 else Status.FAIL), text


def _step(stage: Stage) -> str:
    values = run_tiny_step(stage)
    worst = float(np.abs(values["first_update/ratio"] - 1))
    return f"sampler and trainer agree (|ratio - 1| = {worst:.1e}); one update done"
