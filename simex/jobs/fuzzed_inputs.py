"""The part of `harvest_functions` that looks for inputs by mutation."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

from simex.core.errors import InfraError
from simex.core.files import read_jsonl
from simex.core.progress import progress
from simex.problems.problem import Limits
from simex.problems.sources.functions import (
    FunctionCase,
    SelectedCase,
    is_idle,
    parse_fuzz,
    render_fuzz,
)
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.pool import SandboxPool

FUZZ_LIMITS = Limits(cpu_secs=10.0, memory_mib=512)


def fuzz_all(
    pool: SandboxPool,
    functions: Sequence[tuple[FunctionCase, ...]],
    *,
    rounds: int,
    seed: int,
) -> Iterator[dict]:
    """One record a function: calls that together reach the most code, and how much.

    {"found": [[id, call, stdout, origin], ...], "lines": [given, reached, in all]}
    """
    outcomes = pool.run_all(
        RunRequest(
            source=render_fuzz(cases, rounds=rounds, seed=seed), limits=FUZZ_LIMITS
        )
        for cases in functions
    )
    rows = zip(functions, outcomes, strict=True)
    for cases, outcome in progress(
        rows, total=len(functions), label="functions/fuzz", unit="function"
    ):
        report = parse_fuzz(cases, _stdout_of(outcome))
        yield {
            "found": [
                [c.case.id, c.case.call, c.stdout, c.case.origin]
                for c in report.found
                if not is_idle(c.case, c.stdout.rstrip("\n"))
            ],
            "lines": [
                report.num_lines_given,
                report.num_lines_reached,
                report.num_lines,
            ],
        }


def _stdout_of(outcome: RunOutcome | InfraError) -> str:
    if isinstance(outcome, InfraError):
        return ""  # the calls that the probe chose are kept; the pool counts the fault
    return outcome.stdout.decode("utf-8", "replace")


def add_fuzzed(
    chosen: Sequence[SelectedCase], record: Mapping, per_function: int
) -> list[SelectedCase]:
    """The calls of one function: first those that reach new code, then the chosen.

    A function of which no call was chosen stays without one.
    """
    if not chosen:
        return []
    case = chosen[0].case
    found = [
        SelectedCase(
            case=FunctionCase(
                **{**vars(case), "id": case_id, "call": call, "origin": origin}
            ),
            stdout=stdout,
        )
        for case_id, call, stdout, origin in record["found"]
    ]
    by_call = {c.case.call: c for c in (*chosen, *found)}
    ordered = dict.fromkeys(c.case.call for c in (*found, *chosen))
    return [by_call[call] for call in ordered][:per_function]


def count_coverage(fuzzed: pathlib.Path) -> dict[str, int | float]:
    """Lines of function bodies: reached by the given calls, by all, and in all."""
    given, reached, lines = (
        sum(column) for column in zip(*(r["lines"] for r in read_jsonl(fuzzed)))
    )
    return {
        "num_lines": lines,
        "covered_by_given_calls": round(given / max(lines, 1), 4),
        "covered_after_fuzzing": round(reached / max(lines, 1), 4),
    }
