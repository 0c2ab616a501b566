"""Which problems can be given to whoever writes whole programs, and judged on stdin."""

import collections
import datetime
import itertools
import pathlib
import sys
from collections.abc import Iterator

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.problems.problem import Problem
from simex.problems.records import from_record


def why_unsolvable(problem: Problem) -> str | None:
    """What keeps a whole program from being asked for and judged by comparing.

    The prompt shows public tests on stdin and what a right program prints for them. A
    call of a function cannot be shown so, and with many answers comparing is wrong.
    """
    if problem.call_tests:
        return "tests that are calls"
    if problem.has_many_answers:
        return "many right answers"
    if not problem.public_tests:
        return "no public test"
    return None


def load_solvable(
    path: pathlib.Path,
    *,
    most: int | None = None,
    since: str = "",
    until: str = "",
    must_hide: bool = False,
) -> list[Problem]:
    """The first problems of a file of records that can be solved; all by default.

    Says on stderr how many were passed over, and why.

    Args:
        path: of the file.
        most: so many at most.
        since: the first date of problems that are dated, as LiveCodeBench's are, written
            2024-08-01; "": of any.
        until: the last date.
        must_hide: a problem needs a hidden test too. One whose tests all stand in the
            prompt is passed by printing what they expect.

    Raises:
        UserError: none can be solved, a date is none, or a problem has no date.
    """
    for date in filter(None, (since, until)):
        if _date(date) != date:
            raise UserError(f"A date must be written as 2024-08-01; got {date!r}.")
    left_out: collections.Counter[str] = collections.Counter()

    def solvable() -> Iterator[Problem]:
        for record in read_jsonl(path):
            problem = from_record(record).problem
            reason = why_unsolvable(problem)
            if reason is None and must_hide and not problem.hidden_tests:
                reason = "no hidden test"
            if reason is None and not _is_between(problem, since, until):
                reason = "another date"
            if reason is None:
                yield problem
            else:
                left_out[reason] += 1

    problems = list(itertools.islice(solvable(), most))
    counts = ", ".join(f"{n} with {reason}" for reason, n in sorted(left_out.items()))
    if not problems:
        hidden, advice = "", ""
        if must_hide:
            hidden = " and a hidden one"
            advice = (
                " Mark some tests private, so that not all are shown in the prompt."
            )
        raise UserError(
            f"{path} must hold a problem with a public test{hidden} on stdin, no tests "
            "that are calls and one right answer, of the dates that are asked for; it "
            f"holds none. Left out: {counts or 'nothing'}.{advice}"
        )
    if counts:
        line = f"{path}: problems to solve: {len(problems)}; left out: {counts}"
        print(line, file=sys.stderr, flush=True)
    return problems


def date_of(problem: Problem) -> str:
    """The day of its contest, as 2024-08-01; "" where its source says none."""
    return _date(problem.origin[:10])


def _is_between(problem: Problem, since: str, until: str) -> bool:
    if not since and not until:
        return True
    date = date_of(problem)
    if not date:
        raise UserError(
            f"Only dated problems can be chosen by date; {problem.id!r} has none. Leave "
            "since and until empty."
        )
    return since <= date <= (until or "9999")


def _date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
