"""The plan of an experiment: every program compiled, and what follows from it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from simex.core.names import unknown_name
from simex.plans.compile_process import Request
from simex.plans.estimate import Estimate, estimate_stage
from simex.plans.flops import ModelWork, model_work
from simex.plans.isolation import compile_all
from simex.plans.programs import program_names
from simex.plans.report import ProgramReport
from simex.plans.roofline import Times, make_times, mfu
from simex.plans.smallest import Search, find_smallest
from simex.plans.stage import Stage
from simex.plans.topology import CPU, Topology, require_libtpu

Say = Callable[[ProgramReport], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedProgram:
    """A compiled program with its times."""

    report: ProgramReport
    work: ModelWork
    times: Times | None  # None on a CPU, and for what was refused
    topology: Topology

    @property
    def mfu_range(self) -> tuple[float, float] | None:
        """With exchanges in turn, and with exchanges wholly hidden."""
        chip = self.topology.generation
        if self.times is None or chip is None or not self.work.flops:
            return None
        num = self.topology.num_devices
        secs = (self.times.in_turn, self.times.overlapped)
        return (
            mfu(self.work.flops, secs[0], chip, num),
            mfu(self.work.flops, secs[1], chip, num),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that `simex plan` prints."""

    topology: Topology
    programs: tuple[PlannedProgram, ...]
    estimates: tuple[Estimate, ...]  # of stages whose programs all fit
    search: Search | None

    @property
    def fits(self) -> bool:
        """Whether every program does."""
        return all(program.report.refusal is None for program in self.programs)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; what is not known is null."""
        chip = self.topology.generation
        return {
            "topology": str(self.topology),
            "num_devices": self.topology.num_devices,
            "chip": None if chip is None else dataclasses.asdict(chip),
            "fits": self.fits,
            "programs": [_program_json(program) for program in self.programs],
            "stages": [dataclasses.asdict(estimate) for estimate in self.estimates],
            "search": None if self.search is None else self.search.to_json(),
        }


def make_plan(
    stages: Sequence[Stage],
    topology: Topology,
    *,
    only: Sequence[str] = (),
    completion_tokens: int | None = None,
    prompt_tokens: int = 0,
    searches: bool = False,
    say: Say = lambda report: None,
) -> Plan:
    """Compiles the programs of `stages` for `topology`.

    Args:
      stages: from an experiment.
      topology: the devices.
      only: "stage" or "stage:program"; the others are left out. Empty: all.
      completion_tokens: the mean length of a completion; None: its limit.
      prompt_tokens: the mean length of a prompt; 0: not counted in updates.
      searches: whether to look for the smallest slice that fits, by compiling.
      say: called with each report as it comes in.

    Raises UserError where libtpu is missing, or `only` names nothing.
    """
    if topology.kind != CPU:
        require_libtpu()
    chosen = choose_programs(stages, only)
    requests = [Request(stage, program, topology) for stage, program in chosen]
    reports = compile_all(requests, say=say)
    programs = tuple(
        _plan_program(request, report)
        for request, report in zip(requests, reports, strict=True)
    )
    search = None
    if topology.kind != CPU:
        search = find_smallest(requests, reports, compiles=searches, say=say)
    return Plan(
        topology=topology,
        programs=programs,
        estimates=tuple(
            estimate
            for stage in stages
            if (
                estimate := _estimate(
                    stage, programs, topology, completion_tokens, prompt_tokens
                )
            )
        ),
        search=search,
    )


def choose_programs(
    stages: Sequence[Stage], only: Sequence[str]
) -> list[tuple[Stage, str]]:
    """All programs of all stages, or those that `only` names."""
    everything = [(stage, name) for stage in stages for name in program_names(stage)]
    known = {f"{stage.name}:{name}" for stage, name in everything}
    known |= {stage.name for stage in stages}
    for name in only:
        if name not in known:
            raise unknown_name("stage or program", name, known)
    return [
        (stage, name)
        for stage, name in everything
        if not only or stage.name in only or f"{stage.name}:{name}" in only
    ]


def _plan_program(request: Request, report: ProgramReport) -> PlannedProgram:
    topology = request.topology
    num, chip = topology.num_devices, topology.generation
    work = model_work(request.stage, request.program, num)
    times = None
    if chip is not None and report.work is not None:
        times = make_times(report.work, work, chip, num)
    return PlannedProgram(report=report, work=work, times=times, topology=topology)


def _estimate(
    stage: Stage,
    programs: Sequence[PlannedProgram],
    topology: Topology,
    completion_tokens: int | None,
    prompt_tokens: int,
) -> Estimate | None:
    own = {p.report.program: p for p in programs if p.report.stage == stage.name}
    chip = topology.generation
    if chip is None or set(own) != set(program_names(stage)):
        return None
    times = {name: p.times for name, p in own.items() if p.times is not None}
    if len(times) < len(own):
        return None
    return estimate_stage(
        stage,
        times,
        chip=chip,
        num_devices=topology.num_devices,
        completion_tokens=completion_tokens,
        prompt_tokens=prompt_tokens,
    )


def _program_json(program: PlannedProgram) -> dict[str, Any]:
    times = program.times
    return program.report.to_json() | {
        "fits": program.report.refusal is None,
        "tokens_per_call": program.work.tokens,
        "model_flops": program.work.flops,
        "seconds": None
        if times is None
        else dataclasses.asdict(times)
        | {"overlapped": times.overlapped, "in_turn": times.in_turn},
        "mfu_range": program.mfu_range,
    }
