"""The check list of `simex doctor`: each check is one line that is ok, warn or fail."""

import dataclasses
import enum
import os
import pathlib
from collections.abc import Callable, Iterator

import jax
import numpy as np

from simex.core.config import Experiment, Stage
from simex.core.errors import InfraError, UserError
from simex.core.progress import format_secs
from simex.core.stages import plan_stages
from simex.doctor.divisibility import (
    divide_in_words,
    mesh_of,
    shards_of,
    uneven_rows,
)
from simex.doctor.tiny_step import run_tiny_step
from simex.jobs.setup import DecoderShape, Setup
from simex.problems.problem import TestCase, Visibility
from simex.sandbox.judge import Judge
from simex.sandbox.pool import SandboxPool

BYTES_PER_PARAM = 16  # float32 params, gradients and AdamW's two moments


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
    for stage in experiment.stages:
        if mesh_of(stage) is not None:
            yield _check(f"rows of {stage.name}", lambda s=stage: _rows(s))  # type: ignore[misc]
    for stage in experiment.stages:
        if "objectives" in stage.arguments and mesh_of(stage) is not None:
            yield _check(f"memory of {stage.name}", lambda s=stage: _memory(s))  # type: ignore[misc]
            yield _check(f"tiny step of {stage.name}", lambda s=stage: _step(s))  # type: ignore[misc]


def _check(name: str, ask: Callable[[], str | tuple[Status, str]]) -> Check:
    try:
        answer = ask()
    except (UserError, InfraError) as error:
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
        judgement = Judge(pool).judge([test], "lines", source)
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


def _memory(stage: Stage) -> str | tuple[Status, str]:
    """Params, gradients and moments, and the sampler's cache; no activations."""
    setup = stage.arguments["setup"]
    assert isinstance(setup, Setup)
    shape, sampler = setup.decoder, setup.sampler
    if not isinstance(shape, DecoderShape):
        return Status.WARN, "known when the model is imported; `simex plan` tells more"
    layer = shape.d_model * (
        2 * shape.head_dim * (shape.num_query_heads + shape.num_kv_heads)
        + 3 * shape.d_ff
    )
    state = BYTES_PER_PARAM * layer * shape.num_layers
    cache = 8 * sampler.num_slots * shape.max_positions * shape.num_layers
    cache *= shape.num_kv_heads * shape.head_dim
    text = f"state {state / 2**20:,.0f} MiB, KV cache {cache / 2**20:,.0f} MiB in all"
    if jax.default_backend() == "cpu":
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        stats = jax.local_devices()[0].memory_stats() or {}
        there = stats.get("bytes_limit", 0) * jax.device_count()
    text += f" of {there / 2**20:,.0f}; embeddings and activations come on top"
    return (Status.FAIL if there and state + cache > there else Status.OK), text


def _step(stage: Stage) -> str:
    values = run_tiny_step(stage)
    worst = float(np.abs(values["first_update/ratio"] - 1))
    return f"sampler and trainer agree (|ratio - 1| = {worst:.1e}); one update done"
