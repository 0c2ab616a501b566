"""What each benchmark asks of a generation: its official rule, and a stricter one.

A question about a generation is a bool that needs no run, None where the rule leaves
the generation out of the count, a run that must end without error (the official rule of
the benchmarks that are made of asserts), or a judgement outside the box.

A rule of asserts runs the tests inside the program's own process, as those benchmarks
do, so a program that ends the process early passes it. The strict rule compares what
the calls return outside; it exists where every test of the item is a call.
"""

import ast
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.evals.scoring.generations import Completion
from simex.problems.problem import CallCase, Limits, Problem, TestCase, Visibility
from simex.problems.rows import BadRecord, BrokenRow, Row
from simex.problems.sources import cruxeval
from simex.problems.sources.table import get_source
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import RunRequest

Question = bool | None | RunRequest | JudgeItem
Rule = Callable[[Completion], Question]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkItem:
    """One item and its two rules."""

    id: str  # as the files of generations name it
    official: Rule
    strict: Rule


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """How a benchmark's own file and the files of generations for it are read."""

    source: str  # a name in problems.sources.table.SOURCES
    form: str  # a name in generations.READERS
    make_item: Callable[[Mapping[str, Any]], BenchmarkItem]
    official_rule: str  # in words, for the results file
    strict_rule: str
    limits: Limits


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


def get_benchmark(name: str) -> Benchmark:
    """Raises UserError for a name that is not in BENCHMARKS."""
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def _crux_item(record: Mapping[str, Any]) -> cruxeval.CruxItem:
    cruxeval.parse_cruxeval(record)  # raises BadRecord
    fields = dataclasses.fields(cruxeval.CruxItem)
    return cruxeval.CruxItem(**{field.name: record[field.name] for field in fields})


def _make_cruxeval_output(record: Mapping[str, Any]) -> BenchmarkItem:
    item = _crux_item(record)

    def official(completion: Completion) -> Question:
        if cruxeval.is_rejected(item, completion.text):
            return None
        source = cruxeval.check_program(item, completion.text)
        return RunRequest(source=source, limits=cruxeval.LIMITS)

    return BenchmarkItem(
        id=item.id,
        official=official,
        strict=lambda completion: cruxeval.is_strictly_right(item, completion.text),
    )


def _make_cruxeval_input(record: Mapping[str, Any]) -> BenchmarkItem:
    item = _crux_item(record)

    def official(completion: Completion) -> Question:
        if "f(" not in completion.text:
            return None
        source = f"{item.code}\nassert {item.output} == {completion.text}"
        return RunRequest(source=source, limits=cruxeval.LIMITS)

    def strict(completion: Completion) -> Question:
        arguments = _arguments_of_call(completion.text)
        if arguments is None:
            return False
        test = CallCase(
            function="f",
            arguments=arguments,
            expected_result=ast.literal_eval(item.output),
            visibility=Visibility.PRIVATE,
        )
        return JudgeItem([test], "exact", item.code, cruxeval.LIMITS)

    return BenchmarkItem(id=item.id, official=official, strict=strict)


def _arguments_of_call(text: str) -> tuple[Any, ...] | None:
    """The literal arguments of ``f(...)``; None where it is not such a call."""
    try:
        match ast.parse(text.strip(), mode="eval").body:
            case ast.Call(func=ast.Name(id="f"), args=args, keywords=[]):
                return tuple(ast.literal_eval(a) for a in args)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    return None


def _make_humaneval(record: Mapping[str, Any]) -> BenchmarkItem:
    problem = get_source("humaneval").parse(record).problem
    tests, entry = record.get("test"), problem.title

    def official(completion: Completion) -> Question:
        source = _whole_program(problem, completion)
        if not isinstance(tests, str):  # HumanEval+: inputs and results, no asserts
            return _judged(problem, source)
        return RunRequest(
            source=f"{source}\n{tests}\ncheck({entry})", limits=problem.limits
        )

    return BenchmarkItem(
        id=problem.id,
        official=official,
        strict=functools.partial(_strictly_judged, problem),
    )


def _make_mbpp(record: Mapping[str, Any]) -> BenchmarkItem:
    problem = get_source("mbpp").parse(record).problem
    setup = str(record.get("test_setup_code") or "")
    imports = record.get("test_imports") or []
    tests = "\n".join([*imports, setup, *(record.get("test_list") or [])])

    def official(completion: Completion) -> Question:
        source = f"{completion.text}\n{tests}"
        return RunRequest(source=source, limits=problem.limits)

    return BenchmarkItem(
        id=problem.id.replace("mbpp/", "Mbpp/"),
        official=official,
        strict=functools.partial(_strictly_judged, problem),
    )


def _make_contest(source: str, record: Mapping[str, Any]) -> BenchmarkItem:
    problem = get_source(source).parse(record).problem

    def official(completion: Completion) -> Question:
        return _judged(problem, completion.text)

    def strict(completion: Completion) -> Question:
        exact = dataclasses.replace(problem, checker="lines")
        return _judged(exact, completion.text)

    item_id = problem.id.removeprefix("livecodebench/")
    return BenchmarkItem(id=item_id, official=official, strict=strict)


def _whole_program(problem: Problem, completion: Completion) -> str:
    if completion.is_whole_program:
        return completion.text
    return problem.starter + completion.text


def _strictly_judged(problem: Problem, completion: Completion) -> Question:
    if problem.num_tests_left_out or not problem.call_tests:
        return None
    return _judged(problem, _whole_program(problem, completion))


def _judged(problem: Problem, source: str) -> JudgeItem:
    tests: list[TestCase | CallCase] = [*problem.tests, *problem.call_tests]
    return JudgeItem(tests, problem.checker, source, problem.limits, problem.float_tol)


_CONTEST_STRICT = "lines equal after trimming trailing blanks, judged outside the box"
_ASSERT_STRICT = (
    "results of the tests' calls compared outside the box, type by type; items with a "
    "test that is no plain call are left out"
)
BENCHMARKS: dict[str, Benchmark] = {
    "cruxeval-o": Benchmark(
        source="cruxeval",
        form="cruxeval",
        make_item=_make_cruxeval_output,
        official_rule="`assert output == answer` after the code; an answer that holds "
        "the call itself is left out of the count",
        strict_rule="the answer is a literal of the same value and type",
        limits=cruxeval.LIMITS,
    ),
    "cruxeval-i": Benchmark(
        source="cruxeval",
        form="cruxeval",
        make_item=_make_cruxeval_input,
        official_rule="`assert output == answer` after the code; an answer without "
        "`f(` is left out of the count",
        strict_rule="one call of f with literals, its result compared outside the box",
        limits=cruxeval.LIMITS,
    ),
    "humaneval": Benchmark(
        source="humaneval",
        form="samples",
        make_item=_make_humaneval,
        official_rule="prompt, completion, test and check(entry point) run as one",
        strict_rule=_ASSERT_STRICT,
        limits=Limits(cpu_secs=3.0),
    ),
    "mbpp": Benchmark(
        source="mbpp",
        form="samples",
        make_item=_make_mbpp,
        official_rule="program, then test_list, run as one",
        strict_rule=_ASSERT_STRICT,
        limits=Limits(cpu_secs=3.0),
    ),
    "livecodebench": Benchmark(
        source="livecodebench",
        form="livecodebench",
        make_item=functools.partial(_make_contest, "livecodebench"),
        official_rule="stdout by the benchmark's own comparison, calls by value",
        strict_rule=_CONTEST_STRICT,
        limits=Limits(cpu_secs=6.0),
    ),
    "codecontests": Benchmark(
        source="codecontests",
        form="samples",
        make_item=functools.partial(_make_contest, "codecontests"),
        official_rule="stdout by the collection's own comparison",
        strict_rule=_CONTEST_STRICT,
        limits=Limits(),
    ),
    "jsonl": Benchmark(
        source="jsonl",
        form="samples",
        make_item=functools.partial(_make_contest, "jsonl"),
        official_rule="the checker that each problem names",
        strict_rule=_CONTEST_STRICT,
        limits=Limits(),
    ),
}
"""What `simex score` can score, by name."""
