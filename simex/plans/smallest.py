"""The smallest slice of a generation that holds an experiment.

First by a model of memory: arguments are known exactly for any slice without compiling,
and what a program computes on the way is taken to shrink with the number of devices,
from what the compiler said for the slice that was asked for. That is an upper bound, as
not all of it lives together: where wanted, the compiler decides instead, from the
smallest slice up, on all whose arguments alone are not too much.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from simex.plans.compile_process import Request
from simex.plans.isolation import compile_all
from simex.plans.report import ProgramReport

BY_MODEL = "by the model of memory"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One slice that was looked at."""

    topology: str
    bytes_needed: float | None  # of the largest program, by the model
    why_not: str | None  # None: it fits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """The slices looked at, and the first that fits."""

    smallest: str | None
    is_compiled: (
        bool  # else the model of memory, an upper bound, refused or allowed one
    )
    candidates: tuple[Candidate, ...]
    is_unknown: bool = False  # what a refused program needs elsewhere nobody was asked

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return dataclasses.asdict(self)


def find_smallest(
    requests: Sequence[Request],
    reports: Sequence[ProgramReport],
    *,
    compiles: bool,
    say: Callable[[ProgramReport], None],
) -> Search:
    """Looks through the standard slices of the generation that was asked for.

    Args:
      requests: the programs, on the topology that was asked for.
      reports: what the compiler said about them.
      compiles: whether the compiler decides wherever the arguments alone fit.
      say: called with each report.
    """
    asked = requests[0].topology
    assert asked.generation is not None
    candidates: list[Candidate] = []
    if not compiles and (refused := [r for r in reports if r.memory is None]):
        reasons = [r.refusal.reason for r in refused if r.refusal is not None]
        only = Candidate(
            topology=str(asked), bytes_needed=None, why_not=next(iter(reasons), None)
        )
        return Search(
            smallest=None, is_compiled=False, candidates=(only,), is_unknown=True
        )
    temporaries = [_temporaries(r) * asked.num_devices for r in reports]
    smallest = None
    for shape in asked.generation.slices:
        topology = dataclasses.replace(asked, shape=shape)
        here = [request._replace(topology=topology) for request in requests]
        if topology == asked:
            refusals = [r.refusal.reason for r in reports if r.refusal is not None]
            needed: float | None = max(map(_needed, reports))
            why = next(iter(refusals), None)
        else:
            needed, why = _model_memory(here, temporaries, compiles=compiles)
            if why is None and compiles:
                why = _compile_until_refused(here, say)
        candidates.append(
            Candidate(topology=str(topology), bytes_needed=needed, why_not=why)
        )
        if why is None:
            smallest = str(topology)
            break
    return Search(
        smallest=smallest,
        is_compiled=(compiles or smallest == str(asked))
        and not any(candidate.why_not == BY_MODEL for candidate in candidates),
        candidates=tuple(candidates),
    )


def _model_memory(
    requests: Sequence[Request], temporaries: Sequence[float], *, compiles: bool
) -> tuple[float | None, str | None]:
    """Bytes of a device that the largest program needs, and why that is too much.

    If the compiler is asked next, only arguments that do not fit are too much.
    """
    topology = requests[0].topology
    reports = compile_all([request._replace(compiles=False) for request in requests])
    for report in reports:
        if report.refusal is not None:
            return None, report.refusal.reason
    needed = max(
        _needed(report) + total / topology.num_devices
        for report, total in zip(reports, temporaries, strict=True)
    )
    assert topology.generation is not None
    available = topology.generation.hbm_bytes
    if compiles:
        arguments = max(map(_needed, reports))
        return needed, "by its arguments alone" if arguments > available else None
    return needed, BY_MODEL if needed > available else None


def _compile_until_refused(
    requests: Sequence[Request], say: Callable[[ProgramReport], None]
) -> str | None:
    for request in requests:
        (report,) = compile_all([request], say=say)
        if report.refusal is not None:
            return f"{report.program}: {report.refusal.reason}"
    return None


def _temporaries(report: ProgramReport) -> float:
    if report.memory is not None:
        return report.memory.temporaries + report.memory.outputs
    return 0.0


def _needed(report: ProgramReport) -> float:
    if report.memory is not None:
        return report.memory.needed
    refusal = report.refusal
    return float(refusal.needed_bytes or 0) if refusal else 0.0
