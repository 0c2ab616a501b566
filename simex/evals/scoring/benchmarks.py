"""The benchmarks that can be scored: how their files are read, and their rules."""

import dataclasses
import datetime
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.evals.scoring.assert_rules import (
    PLUS_LIMITS,
    make_humaneval,
    make_humaneval_plus,
    make_mbpp,
    make_mbpp_plus,
)
from simex.evals.scoring.cruxeval_rules import (
    make_cruxeval_input,
    make_cruxeval_output,
    settle,
)
from simex.evals.scoring.generations import Completion
from simex.evals.scoring.grading import Answer
from simex.evals.scoring.livecodebench_rules import make_livecodebench
from simex.evals.scoring.rules import BenchmarkItem, Question, judged
from simex.problems.problem import Limits
from simex.problems.rows import BadRecord, BrokenRow, Row
from simex.problems.sources import cruxeval
from simex.problems.sources.livecodebench import LIMITS as LIVECODEBENCH_LIMITS
from simex.problems.sources.table import get_source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """How a benchmark's own file and the files of generations for it are read."""

    source: str  # a name in problems.sources.table.SOURCES
    form: str  # a name in generations.READERS
    make_item: Callable[[Mapping[str, Any]], BenchmarkItem]
    official_rule: str  # in words, for the results file
    strict_rule: str
    limits: Limits | None = None  # of the official rule; None: each problem's own
    # How the official answers about all generations of one item count together.
    settle: Callable[[Sequence[Answer]], Sequence[Answer]] = tuple


def load_items(name: str, path: pathlib.Path) -> list[BenchmarkItem]:
    """The items of a benchmark's own file, in its order.

    Raises:
        UserError: the benchmark is unknown, or a record of the file is broken.
    """
    benchmark = get_benchmark(name)
    items: list[BenchmarkItem] = []
    for row in get_source(benchmark.source).read_rows(path):
        reason = row.reason if isinstance(row, BrokenRow) else ""
        try:
            if isinstance(row, Row):
                items.append(benchmark.make_item(row.record))
        except BadRecord as error:
            reason = str(error)
        if reason:
            raise UserError(
                f"{row.place}: must be a record of {name}; {reason}. A score needs the "
                "whole benchmark: use its own file."
            )
    if not items:
        raise UserError(f"{path} must hold the items of {name}; it holds none.")
    return items


def items_between(
    items: Sequence[BenchmarkItem], since: str, until: str
) -> list[BenchmarkItem]:
    """The items dated from `since` to `until`, both included; "" sets no bound.

    Raises:
        UserError: a date is none, items have no dates, or none is left.
    """
    if not since and not until:
        return list(items)
    for date in filter(None, (since, until)):
        try:
            datetime.date.fromisoformat(date)
        except ValueError:
            raise UserError(
                f"A date must be written as 2024-10-01; got {date!r}."
            ) from None
    undated = next((item.id for item in items if not item.date), None)
    if undated is not None:
        raise UserError(
            f"Only dated items can be chosen by date; {undated!r} has none. Leave "
            "--since and --until out."
        )
    kept = [i for i in items if since <= i.date <= (until or "9999")]
    if not kept:
        dates = sorted(item.date for item in items)
        raise UserError(
            f"No item is dated from {since or 'the first'} to {until or 'the last'}; "
            f"the file's dates run from {dates[0]} to {dates[-1]}."
        )
    return kept


def get_benchmark(name: str) -> Benchmark:
    """Raises UserError for a name that is not in BENCHMARKS."""
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def _make_contest(source: str, record: Mapping[str, Any]) -> BenchmarkItem:
    problem = get_source(source).parse(record).problem

    def official(completion: Completion) -> Question:
        return judged(problem, completion.text)

    def strict(completion: Completion) -> Question:
        exact = dataclasses.replace(problem, checker="lines")
        return judged(exact, completion.text)

    return BenchmarkItem(id=problem.id, record=record, official=official, strict=strict)


_CONTEST_STRICT = "lines equal after trimming trailing blanks, judged outside the box"
_ASSERT_STRICT = (
    "results of the tests' calls compared outside the box, type by type; items with a "
    "test that is no plain call are left out"
)
_EVALPLUS = (
    "on all base and plus inputs their results must be equal, a list to no tuple, or, "
    "from the first result on that is a float or a flat list or tuple of floats, of one "
    "type and within the task's tolerance, or 1e-6; at most 4 s, or 4 times the "
    "reference's, for one input"
)
BENCHMARKS: dict[str, Benchmark] = {
    "cruxeval-o": Benchmark(
        source="cruxeval",
        form="cruxeval",
        make_item=make_cruxeval_output,
        official_rule="`assert output == answer` after the code; an answer that holds "
        "the call itself is left out of the count where another of the item is right, "
        "and else wrong",
        strict_rule="the answer is a literal of the same value and type",
        limits=cruxeval.LIMITS,
        settle=settle,
    ),
    "cruxeval-i": Benchmark(
        source="cruxeval",
        form="cruxeval",
        make_item=make_cruxeval_input,
        official_rule="`assert output == answer` after the code; an answer without "
        "`f(` is left out of the count where another of the item is right, and else "
        "wrong",
        strict_rule="one call of f with literals, its result compared outside the box",
        limits=cruxeval.LIMITS,
        settle=settle,
    ),
    "humaneval": Benchmark(
        source="humaneval",
        form="samples",
        make_item=make_humaneval,
        official_rule="prompt, completion, test and check(entry point) run as one",
        strict_rule=_ASSERT_STRICT,
        limits=Limits(cpu_secs=3.0),
    ),
    "humaneval-plus": Benchmark(
        source="humaneval",
        form="samples",
        make_item=make_humaneval_plus,
        official_rule=f"prompt, completion and reference run as one; {_EVALPLUS}; of "
        "find_zero any root",
        strict_rule="results on the plus inputs compared outside the box, type by type "
        "(the same tolerances, but find_zero's root is the reference's); items without "
        "plus inputs, or with a result that is no literal, are left out",
        limits=PLUS_LIMITS,
    ),
    "mbpp": Benchmark(
        source="mbpp",
        form="samples",
        make_item=make_mbpp,
        official_rule="program, then test_list, run as one",
        strict_rule=_ASSERT_STRICT,
        limits=Limits(cpu_secs=3.0),
    ),
    "mbpp-plus": Benchmark(
        source="mbpp",
        form="samples",
        make_item=make_mbpp_plus,
        official_rule=f"program and reference run as one; {_EVALPLUS}; 15 tasks have "
        "rules of their own, such as the same set, or found or not",
        strict_rule=_ASSERT_STRICT,
        limits=PLUS_LIMITS,
    ),
    "livecodebench": Benchmark(
        source="livecodebench",
        form="livecodebench",
        make_item=make_livecodebench,
        official_rule="the benchmark's imports and recursion limit before the program; "
        "stdout by its own comparison, whatever the exit code of sys.exit; results of "
        "calls by ==, of builtin types, a tuple for the outermost list (what differs: "
        "simex/evals/scoring/livecodebench_rules.py)",
        strict_rule="the same imports; exit code 0 and lines equal after trimming "
        "trailing blanks; results of calls of the same types all through",
        limits=LIVECODEBENCH_LIMITS,
    ),
    "codecontests": Benchmark(
        source="codecontests",
        form="samples",
        make_item=functools.partial(_make_contest, "codecontests"),
        official_rule="stdout by the collection's own comparison (tokens, case ignored, "
        "numbers within 1e-5), but integers exactly",
        strict_rule=_CONTEST_STRICT,
    ),
    "jsonl": Benchmark(
        source="jsonl",
        form="samples",
        make_item=functools.partial(_make_contest, "jsonl"),
        official_rule="the checker that each problem names",
        strict_rule=_CONTEST_STRICT,
    ),
}
"""What `simex score` can score, by name."""
