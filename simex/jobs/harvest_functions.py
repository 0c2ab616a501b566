"""Job: real functions out of a folder of Python code, with calls and their values."""

import collections
import dataclasses
import json
import pathlib
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import InfraError, UserError
from simex.core.files import read_jsonl, write_atomically, write_jsonl
from simex.core.progress import progress
from simex.jobs.fuzzed_inputs import add_fuzzed, count_coverage, fuzz_all
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.problems.problem import Limits
from simex.problems.sources.functions import (
    FunctionCase,
    HarvestLimits,
    SelectedCase,
    harvest,
    is_held_out,
    parse_probe,
    render_probe,
    render_program,
    select_cases,
)
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.pool import SandboxPool

DEFAULT_LIMITS = HarvestLimits()
DEFAULT_SANDBOX = SandboxConfig()
PROBE_LIMITS = Limits(cpu_secs=3.0, memory_mib=512)
CASE_LIMITS = Limits(cpu_secs=1.0, memory_mib=512)
NUM_CANDIDATES_PER_FUNCTION = 2  # about two thirds of the candidates can be kept
SMALL_CHARS = 600  # programs of at most so many characters are counted in the report


@gin.configurable
def harvest_functions(
    workdir: pathlib.Path,
    root: str | None = None,
    *,
    max_functions: int = 600,
    inputs_per_function: int = 3,
    held_out_fraction: float = 0.3,
    fuzz_rounds: int = 0,
    seed: int = 0,
    license: str = "unknown",
    limits: HarvestLimits = DEFAULT_LIMITS,
    sandbox: SandboxConfig = DEFAULT_SANDBOX,
) -> None:
    """Writes harvest_functions/functions.jsonl and report.json.

    A line of functions.jsonl is one call: id, group, entry, module, license, origin,
    program, call, stdout, split ("train" or "test", by group), num_chars, num_lines.
    Functions come in the order of their length. report.json counts what was kept and,
    by reason, what was dropped; sandbox.json names the jail and the Python, which is one
    for all of them.

    First all candidate calls of a function run in one probe program. The chosen calls
    then run again, twice, each as the program that is kept, under two hash seeds; all
    runs must agree.

    Args:
      workdir: of the run.
      root: A folder of Python code; the interpreter's standard library if None.
      max_functions: Keep the shortest so many.
      inputs_per_function: Keep at most so many calls of a function.
      held_out_fraction: Share of the module files whose functions are for testing.
      fuzz_rounds: Mutated calls to try of each function, guided by coverage; calls
        that reach new code then come first. 0 leaves fuzzing out.
      seed: Of the split and of mutations.
      license: Of the code below `root`.
      limits: Bounds on programs, and how many calls are tried.
      sandbox: How to open the sandbox.

    Raises:
      UserError: `root` is no folder, a number is impossible, or nothing was found.
    """
    _check(max_functions, inputs_per_function, held_out_fraction)
    if fuzz_rounds < 0:
        raise UserError(
            f"fuzz_rounds must be at least 0; got {fuzz_rounds}. Set it so."
        )
    folder = workdir / "harvest_functions"
    if (folder / "report.json").exists():
        return
    started = time.monotonic()
    found = harvest(
        pathlib.Path(root) if root is not None else None, limits=limits, license=license
    )
    candidates = found.functions[: max_functions * NUM_CANDIDATES_PER_FUNCTION]
    with sandbox.open_pool() as pool:
        note_sandbox(folder, pool)
        probed = folder / "probed.jsonl"
        continue_jsonl(
            probed,
            lambda start: _probe_all(pool, candidates[start:], inputs_per_function),
        )
        by_function = _read_chosen(probed, candidates)
        fuzzed = folder / "fuzzed.jsonl"
        if fuzz_rounds:
            usable = [f for f, c in zip(candidates, by_function) if c][:max_functions]
            continue_jsonl(
                fuzzed,
                lambda start: fuzz_all(
                    pool, usable[start:], rounds=fuzz_rounds, seed=seed
                ),
            )
        chosen = _choose(by_function, max_functions, inputs_per_function, fuzzed)
        verified = folder / "verified.jsonl"
        with sandbox.open_pool(other_hash_seed=True) as other_pool:
            continue_jsonl(
                verified, lambda start: _verify_all(pool, other_pool, chosen[start:])
            )
    records = [
        _make_record(
            c, is_held_out(c.case.group, fraction=held_out_fraction, seed=seed)
        )
        for c, check in zip(chosen, read_jsonl(verified), strict=True)
        if "dropped" not in check
    ]
    if not records:
        raise UserError(
            f"No function below {root or 'the standard library'} could be harvested; "
            "at least one pure function that returns a value is needed. Name another "
            "root, or raise HarvestLimits.max_chars and max_lines."
        )
    write_jsonl(folder / "functions.jsonl", records)
    report = {
        "python": platform.python_version(),
        "seconds": round(time.monotonic() - started, 1),  # of the last attempt
        **_count(records),
        **({"coverage": count_coverage(fuzzed)} if fuzz_rounds else {}),
        "functions_dropped_unread": found.dropped,
        **_count_drops(list(read_jsonl(probed)), list(read_jsonl(verified))),
    }
    # Last: its presence says that the job is done.
    with write_atomically(folder / "report.json") as file:
        json.dump(report, file, indent=1)


def _check(max_functions: int, inputs_per_function: int, fraction: float) -> None:
    if max_functions < 1 or inputs_per_function < 1 or not 0 <= fraction < 1:
        raise UserError(
            "harvest_functions needs max_functions and inputs_per_function of at least "
            "1 and held_out_fraction in [0, 1); got "
            f"{max_functions}, {inputs_per_function} and {fraction}. Change the setting."
        )


def _probe_all(
    pool: SandboxPool, functions: Sequence[tuple[FunctionCase, ...]], per_function: int
) -> Iterator[dict]:
    """One record a function: what its calls did, and which of them are chosen."""
    requests = (
        RunRequest(source=render_probe(cases), limits=PROBE_LIMITS)
        for cases in functions
    )
    outcomes = pool.run_all(requests)
    rows = zip(functions, outcomes, strict=True)
    for cases, outcome in progress(
        rows, total=len(functions), label="functions/probe", unit="function"
    ):
        calls = parse_probe(cases, _stdout_of(outcome))
        findings = collections.Counter(call.finding.value for call in calls)
        yield {
            "function": _function_id(cases),
            "findings": dict(findings),
            "chosen": [
                [c.case.id, c.stdout] for c in select_cases(calls, per_function)
            ],
        }


def _stdout_of(outcome: RunOutcome | InfraError) -> str:
    if isinstance(outcome, InfraError):
        return ""  # the function is dropped; the pool counts the fault
    return outcome.stdout.decode("utf-8", "replace")


def _read_chosen(
    probed: pathlib.Path,
    functions: Sequence[tuple[FunctionCase, ...]],
) -> list[list[SelectedCase]]:
    """The chosen calls of each function; of many there are none."""
    records = list(read_jsonl(probed))
    if [r["function"] for r in records] != [_function_id(f) for f in functions]:
        raise UserError(
            f"{probed} must come from the same code and settings as this run; it lists "
            "other functions. Delete its folder, or name another workdir."
        )
    by_id = {case.id: case for cases in functions for case in cases}
    return [
        [
            SelectedCase(case=by_id[case_id], stdout=stdout)
            for case_id, stdout in record["chosen"]
        ]
        for record in records
    ]


def _choose(
    by_function: Sequence[list[SelectedCase]],
    max_functions: int,
    per_function: int,
    fuzzed: pathlib.Path,
) -> list[SelectedCase]:
    """The calls of the first `max_functions` functions that have any."""
    usable = [chosen for chosen in by_function if chosen][:max_functions]
    if fuzzed.exists():
        usable = [
            add_fuzzed(chosen, record, per_function)
            for chosen, record in zip(usable, read_jsonl(fuzzed), strict=True)
        ]
    return [case for chosen in usable for case in chosen]


def _function_id(cases: tuple[FunctionCase, ...]) -> str:
    return cases[0].id.rpartition("#")[0]


def _verify_all(
    pool: SandboxPool, other_pool: SandboxPool, chosen: Sequence[SelectedCase]
) -> Iterator[dict]:
    """One record a case; it holds "dropped" where a run did not print the value.

    `other_pool` hashes by another seed, so a value in the order of a set of texts
    shows.
    """
    requests = [
        RunRequest(source=render_program(c.case), limits=CASE_LIMITS) for c in chosen
    ]
    usual, other = pool.run_all(requests), other_pool.run_all(requests)
    rows = zip(chosen, usual, other, strict=True)
    for c, one, two in progress(
        rows, total=len(chosen), label="functions/verify", unit="case"
    ):
        reason = _fault(one, c.stdout, "alone")
        reason = reason or _fault(two, c.stdout, "under another hash seed")
        yield {"id": c.case.id, **({"dropped": reason} if reason else {})}


def _fault(outcome: RunOutcome | InfraError, stdout: str, how: str) -> str | None:
    if isinstance(outcome, InfraError):
        return "infra error"
    if not outcome.status.is_ok:
        return f"ends with {outcome.status.value} when it runs {how}"
    if outcome.stdout != stdout.encode():
        return f"prints something else when it runs {how}"
    return None


def _make_record(chosen: SelectedCase, is_test: bool) -> dict:
    case = chosen.case
    fields = ("id", "group", "entry", "module", "license", "origin", "call")
    values = dataclasses.asdict(case)
    return {
        **{field: values[field] for field in fields},
        "program": render_program(case),
        "stdout": chosen.stdout,
        "split": "test" if is_test else "train",
        "num_chars": case.num_chars,
        "num_lines": case.num_lines,
    }


def _count(records: Sequence[Mapping]) -> dict:
    """Functions and cases, in all, by split, and small ones."""

    def functions(some: Iterable[Mapping]) -> int:
        return len({(r["group"], r["entry"]) for r in some})

    by_split = {s: [r for r in records if r["split"] == s] for s in ("train", "test")}
    return {
        "num_functions": functions(records),
        "num_cases": len(records),
        "num_functions_by_split": {s: functions(rs) for s, rs in by_split.items()},
        "num_cases_by_split": {s: len(rs) for s, rs in by_split.items()},
        f"num_functions_up_to_{SMALL_CHARS}_chars": functions(
            r for r in records if r["num_chars"] <= SMALL_CHARS
        ),
    }


def _count_drops(probed: Sequence[Mapping], checks: Sequence[Mapping]) -> dict:
    calls: collections.Counter[str] = collections.Counter()
    for record in probed:
        calls.update(record["findings"])
    cases = collections.Counter(c["dropped"] for c in checks if "dropped" in c)
    return {
        "functions_without_a_case": sum(not record["chosen"] for record in probed),
        "calls_tried": dict(calls),
        "cases_dropped": dict(cases),
    }
