"""Job: what right and wrong programs really print, for prediction."""

import dataclasses
import functools
import itertools
import operator
import pathlib
from collections.abc import Iterator

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import InfraError
from simex.core.files import read_jsonl
from simex.core.progress import progress
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.problems.problem import Limits
from simex.problems.records import from_record
from simex.problems.splits import problems_path
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool

SPLITS = ("rl", "validation", "test")


@gin.configurable
def run_programs(
    workdir: pathlib.Path,
    *,
    problems_from: str = "make_problems",
    programs_per_role: int = 1,
    inputs_per_program: int | None = 1,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes run_programs/{rl,validation,test}.jsonl, a PredictionItem a line.

    The first run of each problem's first programs comes first, then the second ones: so
    the first items, whoever takes no more than those, are of as many problems as can
    be. A run that does not end well has no stdout to predict and is left out.
    sandbox.json names the jail and the Python, which is one for all of them.

    Args:
      workdir: of the run.
      problems_from: the stage that left the problems: "make_problems", or
        "import_problems", whose problems for training are those of "rl".
      programs_per_role: of each problem the first so many right programs, and the first
        so many wrong ones.
      inputs_per_program: the first so many public tests; None: all.
      sandbox: where programs run.
    """
    with sandbox.open_pool() as pool:
        note_sandbox(workdir / "run_programs", pool)
        for split in SPLITS:
            path = problems_path(workdir, problems_from, split)
            runs = _list_runs(path, programs_per_role, inputs_per_program)
            continue_jsonl(
                workdir / "run_programs" / f"{split}.all.jsonl",
                functools.partial(_run_from, pool, runs, split),
            )
            _keep_finished(workdir / "run_programs", split)


def _list_runs(
    path: pathlib.Path, programs_per_role: int, inputs_per_program: int | None
) -> list[dict]:
    ranked: list[tuple[tuple[int, int], dict]] = []
    for record in read_jsonl(path):
        item = from_record(record)
        programs = [
            (role, number, source)
            for role, sources in (
                ("right", item.right_programs),
                ("wrong", item.wrong_programs),
            )
            for number, source in enumerate(sources[:programs_per_role])
        ]
        tests = list(enumerate(item.problem.public_tests))[:inputs_per_program]
        for (role, number, source), (index, test) in itertools.product(programs, tests):
            run = {
                "id": f"{item.problem.id}/{role}{number or ''}/{index}",
                "group": item.problem.composition,
                "role": role,
                "source": source,
                "stdin": test.stdin,
                "checker": item.problem.checker,
                "float_tol": item.problem.float_tol,
                "limits": dataclasses.asdict(item.problem.limits),
            }
            ranked.append(((number, index), run))
    # Of equals the problems keep their order.
    return [run for _, run in sorted(ranked, key=operator.itemgetter(0))]


def _run_from(
    pool: SandboxPool, all_runs: list[dict], split: str, start: int
) -> Iterator[dict]:
    runs = all_runs[start:]
    outcomes = pool.run_all(
        RunRequest(
            source=run["source"], stdin=run["stdin"], limits=Limits(**run["limits"])
        )
        for run in runs
    )
    shown = progress(outcomes, total=len(runs), label=f"runs/{split}", unit="run")
    for run, outcome in zip(runs, shown, strict=True):
        if isinstance(outcome, InfraError):
            yield {**run, "dropped": f"infra error: {outcome}"}
        elif not outcome.status.is_ok:
            yield {**run, "dropped": outcome.status.value}
        else:
            yield {**run, "stdout": outcome.stdout.decode(errors="replace")}


def _keep_finished(folder: pathlib.Path, split: str) -> None:
    def records_from(start: int) -> Iterator[dict]:
        records = read_jsonl(folder / f"{split}.all.jsonl")
        kept = (record for record in records if "dropped" not in record)
        return itertools.islice(kept, start, None)

    continue_jsonl(folder / f"{split}.jsonl", records_from)
