"""Many programs, judged into one file of verdicts; what `simex judge` does.

A line of the file, in the order of the programs:

    {"problem_id": "sum/0", "program_id": "a", "accepted": false,
     "verdicts": ["accepted", "wrong_output", "not_run"], "backend": "bubblewrap",
     "cpu_secs": [0.004, 0.004, null],
     "detail": ["", "line 1: printed '4', expected '5'", ""]}

`verdicts`, `cpu_secs` and `detail` have one entry for each test; what is `not_run` took
no time. A program that could not be judged, for a fault of the machine, has
``"accepted": null``, no verdicts, and the reason as its only detail. Such a line stays
when the file is continued; whoever cuts the file before it has it judged anew.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from simex.core.errors import InfraError, UserError
from simex.core.strict_jsonl import hash_file
from simex.sandbox.examine import describe
from simex.sandbox.judge import JudgeItem, judge_all
from simex.sandbox.judge_files import (
    JudgedProblem,
    Submission,
    count_submissions,
    load_problems,
    read_submissions,
)
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool
from simex.sandbox.verdict_file import VerdictFile, check_stamp, read_keys


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Two checked input files, and how they are to be judged."""

    problems: Mapping[str, JudgedProblem]
    programs_path: pathlib.Path
    out_path: pathlib.Path
    num_programs: int
    early_stop: bool
    stamp: Mapping[str, Any]  # a file of verdicts is continued if this is unchanged


def load_batch(
    problems_path: pathlib.Path,
    programs_path: pathlib.Path,
    out_path: pathlib.Path,
    *,
    early_stop: bool,
) -> Batch:
    """Checks every line of both files before anything runs or is written.

    Raises:
      UserError: a line breaks a rule, or `out_path` holds verdicts of something else.
    """
    for path in (problems_path, programs_path):
        if os.path.realpath(path) == os.path.realpath(out_path):
            raise UserError(f"--out must not be one of the inputs; got {out_path}.")
    problems = load_problems(problems_path)
    num_programs = count_submissions(programs_path, problems)
    stamp = {
        "problems": hash_file(problems_path),
        "programs": hash_file(programs_path),
        "early_stop": early_stop,
    }
    check_stamp(out_path, stamp)
    return Batch(
        problems=problems,
        programs_path=programs_path,
        out_path=out_path,
        num_programs=num_programs,
        early_stop=early_stop,
        stamp=stamp,
    )


def judge_batch(
    pool: SandboxPool, batch: Batch, file: VerdictFile
) -> Iterator[dict[str, Any]]:
    """Judges what `file` does not hold yet; yields each record once it is written.

    Raises:
      UserError: the lines that `file` holds are not those of the first programs.
    """
    todo = read_submissions(batch.programs_path, batch.problems)
    _skip_done(todo, batch.out_path, file.num_done)
    under_way: collections.deque[Submission] = collections.deque()

    def items() -> Iterator[JudgeItem]:
        for submission in todo:
            under_way.append(submission)
            yield batch.problems[submission.problem_id].item(submission.source)

    for judgement in judge_all(pool, items(), early_stop=batch.early_stop):
        submission = under_way.popleft()
        problem = batch.problems[submission.problem_id]
        record = {
            "problem_id": submission.problem_id,
            "program_id": submission.program_id,
            **_judgement_fields(problem, judgement, backend=pool.backend_name),
        }
        file.append(record)
        yield record


def _skip_done(todo: Iterator[Submission], path: pathlib.Path, num_done: int) -> None:
    keys = read_keys(path)
    for number, key in zip(range(1, num_done + 1), keys):
        submission = next(todo, None)
        if submission is None or key != (submission.problem_id, submission.program_id):
            raise UserError(
                f"{path}: line {number} must be of program {number} of the programs' "
                f"file; it is of {key[1]!r} of {key[0]!r}. Delete the file to judge anew."
            )


def _judgement_fields(
    problem: JudgedProblem, judgement: Judgement | InfraError, *, backend: str
) -> dict[str, Any]:
    if isinstance(judgement, InfraError):
        return {
            "accepted": None,
            "verdicts": [],
            "backend": backend,
            "cpu_secs": [],
            "detail": [f"infra error: {judgement}"],
        }
    rows = zip(problem.tests, judgement.outcomes, judgement.verdicts, strict=True)
    return {
        "accepted": judgement.is_accepted,
        "verdicts": [verdict.value for verdict in judgement.verdicts],
        "backend": judgement.backend,
        "cpu_secs": [
            None if outcome is None else round(outcome.cpu_secs, 6)
            for outcome in judgement.outcomes
        ],
        "detail": [
            "" if outcome is None else describe(test, outcome, verdict)
            for test, outcome, verdict in rows
        ],
    }
