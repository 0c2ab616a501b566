"""Job: a checkpoint's own programs, right and wrong, as programs to be predicted.

The paper's "-Out" sets: unfiltered samples, each on every public test of its problem.
On right programs a predictor may solve the problem instead of simulating; on what a
model wrote wrongly it cannot.
"""

import collections
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import InfraError
from simex.core.files import read_jsonl, write_atomically, write_jsonl
from simex.core.progress import progress
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.problems.problem import Limits, Problem
from simex.problems.records import from_record
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool


@gin.configurable
def make_prediction_set(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    candidates: str,
    problems_from: str = "make_problems/test.jsonl",
    max_per_problem: int = 20,
    max_right_per_problem: int | None = None,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes items.jsonl, a PredictionItem a line, and report.json.

    A sample without a program, and a run that does not end well, have no stdout to
    predict; they are left out and counted, as are the samples beyond the numbers below.
    Nothing else is: equal programs stay.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      candidates: the evaluate_solving stage that sampled them.
      problems_from: the file of the problems in the workdir.
      max_per_problem: the first so many samples of each.
      max_right_per_problem: of those the first so many that are right; None: all. The
        paper trains on at most 4 of 10, so that easy problems do not outweigh others.
      sandbox: where programs run.
    """
    problems = {
        item.problem.id: item.problem
        for item in map(from_record, read_jsonl(workdir / problems_from))
    }
    drawn = list(read_jsonl(workdir / candidates / "candidates.jsonl"))
    counts: collections.Counter[str] = collections.Counter()
    chosen = list(_choose(drawn, max_per_problem, max_right_per_problem, counts))
    runs = list(_list_runs(chosen, problems))
    everything = stage_dir / "all.jsonl"
    with sandbox.open_pool() as pool:
        note_sandbox(stage_dir, pool)
        continue_jsonl(everything, lambda start: _run_all(pool, runs[start:]))
    kept = (r for r in read_jsonl(everything) if "dropped" not in r)
    write_jsonl(stage_dir / "items.jsonl", kept)
    counts.update(
        record.get("dropped", record["role"]) for record in read_jsonl(everything)
    )
    with write_atomically(stage_dir / "report.json") as file:
        json.dump(dict(sorted(counts.items())), file, indent=1)


def _choose(
    drawn: list[dict[str, Any]],
    most: int,
    most_right: int | None,
    counts: collections.Counter[str],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The samples that are run with their numbers; the others are added to `counts`."""
    counts["samples without a program"] = 0
    for _, group in itertools.groupby(drawn, key=lambda c: c["problem_id"]):
        num_right = 0
        for number, candidate in enumerate(group):
            if candidate["source"] is None:
                counts["samples without a program"] += 1
            elif number >= most:
                counts["samples beyond max_per_problem"] += 1
            elif candidate["is_right"] and num_right == most_right:
                counts["samples beyond max_right_per_problem"] += 1
            else:
                num_right += candidate["is_right"]
                yield number, candidate


def _list_runs(
    chosen: list[tuple[int, dict[str, Any]]], problems: dict[str, Problem]
) -> Iterator[dict[str, Any]]:
    for number, candidate in chosen:
        problem = problems[candidate["problem_id"]]
        for index, test in enumerate(problem.public_tests):
            yield {
                "id": f"{problem.id}/{number}/{index}",
                "group": problem.composition,
                "role": "right" if candidate["is_right"] else "wrong",
                "source": candidate["source"],
                "stdin": test.stdin,
                "checker": problem.checker,
                "float_tol": problem.float_tol,
                "limits": dataclasses.asdict(problem.limits),
            }


def _run_all(pool: SandboxPool, runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    outcomes = pool.run_all(
        RunRequest(
            source=run["source"], stdin=run["stdin"], limits=Limits(**run["limits"])
        )
        for run in runs
    )
    shown = progress(outcomes, total=len(runs), label="prediction set", unit="run")
    for run, outcome in zip(runs, shown, strict=True):
        if isinstance(outcome, InfraError):
            yield {**run, "dropped": f"infra error: {outcome}"}
        elif not outcome.status.is_ok:
            yield {**run, "dropped": outcome.status.value}
        else:
            yield {**run, "stdout": outcome.stdout.decode(errors="replace")}
