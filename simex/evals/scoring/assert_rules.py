"""HumanEval and MBPP, and their plus versions: programs that must survive asserts."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.evals.scoring import evalplus_rule
from simex.evals.scoring.generations import Completion
from simex.evals.scoring.rules import (
    BenchmarkItem,
    Question,
    Rule,
    judged,
    returns_true,
    runs_through,
)
from simex.problems.problem import Limits, Problem
from simex.problems.rows import BadRecord, text_of
from simex.problems.sources import mbpp
from simex.problems.sources.mbpp_inputs import restore_inputs
from simex.problems.sources.table import get_source
from simex.sandbox.judging import JudgeItem

# evalplus: 60 wall seconds for the base and 60 for the plus inputs, and 4 GiB. Here the
# reference is counted as well; that of Mbpp/599 takes 21 s. Most of what is slow meets
# the limit for one input, which is in `evalplus_rule`.
PLUS_LIMITS = Limits(cpu_secs=120.0, memory_mib=4096)


def make_humaneval(record: Mapping[str, Any]) -> BenchmarkItem:
    """HumanEval. Raises BadRecord, for a record of HumanEval+ as well."""
    if "plus_input" in record:
        raise BadRecord("it is of HumanEval+, which has a rule of its own")
    problem = get_source("humaneval").parse(record).problem
    tests, entry = text_of(record, "test"), problem.title

    def official(completion: Completion) -> Question:
        source = _whole_program(problem, completion)
        return runs_through(f"{source}\n{tests}\ncheck({entry})", problem.limits)

    return BenchmarkItem(
        id=problem.id,
        record=record,
        official=official,
        strict=functools.partial(_strictly_judged, problem),
    )


def make_humaneval_plus(record: Mapping[str, Any]) -> BenchmarkItem:
    """HumanEval+, whose records hold inputs. Raises BadRecord."""
    if not record.get("base_input") or "plus_input" not in record:
        raise BadRecord("it has no base_input and plus_input, as HumanEval+ has")
    problem = get_source("humaneval").parse(record).problem
    prompt = text_of(record, "prompt")
    reference = prompt + text_of(record, "canonical_solution")
    inputs = [record["base_input"], record["plus_input"]]
    compare = _make_comparison(record, reference, inputs, is_mbpp=False)

    def official(completion: Completion) -> Question:
        return compare(_whole_program(problem, completion))

    def strict(completion: Completion) -> Question:
        is_whole = len(problem.call_tests) == len(record["plus_input"])
        if not problem.call_tests or not is_whole:
            return None
        return judged(problem, _whole_program(problem, completion))

    return BenchmarkItem(
        id=problem.id,
        record=record,
        official=official,
        strict=strict,
        has_reference=True,
    )


def make_mbpp(record: Mapping[str, Any]) -> BenchmarkItem:
    """MBPP: the asserts alone, of a record of MBPP+ too. Raises BadRecord."""
    tests, limits = _asserts(record), mbpp.LIMITS

    def official(completion: Completion) -> Question:
        return runs_through(f"{completion.text}\n{tests}", limits)

    return _make_mbpp(record, official)


def make_mbpp_plus(record: Mapping[str, Any]) -> BenchmarkItem:
    """MBPP+, whose records hold inputs beside the asserts. Raises BadRecord."""
    if "plus_input" not in record:
        raise BadRecord("it has no plus_input, as MBPP+ has")
    _asserts(record)  # raises BadRecord
    number = mbpp.number_of(record)
    fields = ("base_input", "plus_input")
    inputs = [restore_inputs(number, record.get(field)) for field in fields]
    reference = text_of(record, "canonical_solution")
    compare = _make_comparison(record, reference, inputs, is_mbpp=True)
    item = _make_mbpp(record, lambda completion: compare(completion.text))
    return dataclasses.replace(item, has_reference=True)


def _make_mbpp(record: Mapping[str, Any], official: Rule) -> BenchmarkItem:
    problem = get_source("mbpp").parse(record).problem
    return BenchmarkItem(
        id=problem.id.replace("mbpp/", "Mbpp/"),
        record=record,
        official=official,
        strict=functools.partial(_strictly_judged, problem),
    )


def _asserts(record: Mapping[str, Any]) -> str:
    setup = str(record.get("test_setup_code") or "")
    imports = record.get("test_imports") or []
    asserts = record.get("test_list") or [record.get("assertion") or ""]
    tests = "\n".join([*imports, setup, *asserts])
    if "assert" not in tests:
        raise BadRecord("it has neither test_list nor assertion")
    return tests


def _make_comparison(
    record: Mapping[str, Any],
    reference: str,
    inputs: Sequence[Sequence[Any]],
    *,
    is_mbpp: bool,
) -> Callable[[str], JudgeItem]:
    """From a program to a run that holds its results against the reference's."""
    base, plus = inputs
    if not base and not plus:
        raise BadRecord("it has no inputs")
    task = {
        "reference": reference,
        "entry": text_of(record, "entry_point"),
        "is_mbpp": is_mbpp,
        "base": base,
        "plus": plus,
        "atol": record.get("atol") or 0,
    }
    rule = inspect.getsource(evalplus_rule)
    end = f"\n\ndef check():\n    return compare(source=source, **{task!r})\n"

    def compare(source: str) -> JudgeItem:
        return returns_true(f"{rule}\nsource = {source!r}{end}", PLUS_LIMITS)

    return compare


def _whole_program(problem: Problem, completion: Completion) -> str:
    if completion.is_whole_program:
        return completion.text
    return problem.starter + completion.text


def _strictly_judged(problem: Problem, completion: Completion) -> Question:
    if problem.num_tests_left_out or not problem.call_tests:
        return None
    return judged(problem, _whole_program(problem, completion))
