"""Which problems can be given to whoever writes whole programs, and judged on stdin."""

import collections
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


def load_solvable(path: pathlib.Path, *, most: int | None = None) -> list[Problem]:
    """The first problems of a file of records that can be solved; all by default.

    Says on stderr how many were passed over, and why.

    Raises:
        UserError: none can be solved.
    """
    left_out: collections.Counter[str] = collections.Counter()

    def solvable() -> Iterator[Problem]:
        for record in read_jsonl(path):
            problem = from_record(record).problem
            reason = why_unsolvable(problem)
            if reason is None:
                yield problem
            else:
                left_out[reason] += 1

    problems = list(itertools.islice(solvable(), most))
    counts = ", ".join(f"{n} with {reason}" for reason, n in sorted(left_out.items()))
    if not problems:
        raise UserError(
            f"{path} must hold a problem with a public test on stdin, no tests that are "
            f"calls and one right answer; it holds none. Left out: {counts or 'nothing'}."
        )
    if counts:
        line = f"{path}: problems to solve: {len(problems)}; left out: {counts}"
        print(line, file=sys.stderr, flush=True)
    return problems
