"""LiveCodeBench: its own rule as far as a sandbox can have it, and a stricter one.

Official (lcb_runner/evaluation/testing_util.py of LiveCodeBench/LiveCodeBench): before
the program stand imports of everything that solutions use, and a recursion limit of
50,000. On stdin `sys.exit` with any code ends a program well, and stdout is compared by
`sandbox.checkers.check_livecodebench`. A call is a method of the program's `Solution`,
or a function; its result must be `==` the expected value after an outermost tuple has
become a list, so that True answers 1, and `[(1, 2)]` does not answer `[[1, 2]]`.

Where this differs from there:

* Each test runs in a process of its own; there all tests share one, with what a
  program keeps in its globals.
* A program on stdin is the main module; there it becomes the body of a function.
  stdin is a real one; there `sys.stdin.buffer.readline` gives the first line always,
  and `quit` and some functions of `os` are missing.
* A test has 6 s of CPU time and 1 GiB of memory; there 6 s by the clock and no limit
  of memory.
* A result of a subclass (a defaultdict, a Counter, an IntEnum) is wrong; there it is
  what its own `==` says.
* `os._exit(0)` after the right output passes; there it ends the whole check.

Strict: the same imports stand before the program, but exit codes count, lines must be
equal after trimming trailing blanks, and results must have the same types all through.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from simex.evals.scoring.generations import Completion
from simex.evals.scoring.rules import BenchmarkItem, Question, judged
from simex.problems.sources.livecodebench import parse_livecodebench

_MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math"),
    *("random", "statistics", "itertools", "functools", "operator", "io", "sys"),
    "json",
)
# In the benchmark's order: where two modules have one name, the later one gives it.
IMPORTS = "".join(
    [
        *(f"from {name} import *\n" for name in (*_MODULES, "builtins", "typing")),
        *(f"import {name}\n" for name in _MODULES),
        "sys.setrecursionlimit(50_000)\n",
    ]
)
ANY_EXIT = """\
import builtins, sys
class _AnyExit(SystemExit):
    code = 0
def _leave(code=None):
    raise _AnyExit
builtins.SystemExit, sys.exit = _AnyExit, _leave
"""
# There the module that holds a function is not the main one.
_NOT_MAIN = '__name__ = "solution"\n'


def make_livecodebench(record: Mapping[str, Any]) -> BenchmarkItem:
    """A problem on stdin, or one of calls. Raises BadRecord."""
    problem = parse_livecodebench(record).problem
    before = _NOT_MAIN if problem.call_tests else ANY_EXIT
    strict_checker = "exact" if problem.call_tests else "lines"
    strict_problem = dataclasses.replace(problem, checker=strict_checker)
    strictly_before = _NOT_MAIN if problem.call_tests else ""

    def official(completion: Completion) -> Question:
        return judged(problem, f"{before}{IMPORTS}{completion.text}")

    def strict(completion: Completion) -> Question:
        return judged(strict_problem, f"{strictly_before}{IMPORTS}{completion.text}")

    return BenchmarkItem(
        id=problem.id.removeprefix("livecodebench/"),
        record=record,
        official=official,
        strict=strict,
        date=problem.origin[:10],
    )
