"""HumanEval and MBPP, and their plus versions: programs that must survive asserts."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from simex.evals.scoring.generations import Completion
from simex.evals.scoring.rules import BenchmarkItem, Question, judged, runs_through
from simex.problems.problem import Problem
from simex.problems.rows import BadRecord, text_of
from simex.problems.sources.table import get_source


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
    reference = text_of(record, "prompt") + text_of(record, "canonical_solution")
    tests = _compare_with_reference(
        {**record, "canonical_solution": reference},
        is_same=_SAME_AS_EVALPLUS,
        otherwise="assert False",
    )
    limits = dataclasses.replace(problem.limits, cpu_secs=_PLUS_CPU_SECS)

    def official(completion: Completion) -> Question:
        source = _whole_program(problem, completion)
        return runs_through(f"{source}\n{tests}", limits)

    def strict(completion: Completion) -> Question:
        is_whole = len(problem.call_tests) == len(record["plus_input"])
        if not problem.call_tests or not is_whole:
            return None
        return judged(problem, _whole_program(problem, completion))

    return BenchmarkItem(id=problem.id, record=record, official=official, strict=strict)


def make_mbpp(record: Mapping[str, Any]) -> BenchmarkItem:
    """MBPP: the asserts alone, of a record of MBPP+ too. Raises BadRecord."""
    return _make_mbpp(record, _asserts(record))


def make_mbpp_plus(record: Mapping[str, Any]) -> BenchmarkItem:
    """MBPP+, whose records hold inputs beside the asserts. Raises BadRecord."""
    if "plus_input" not in record:
        raise BadRecord("it has no plus_input, as MBPP+ has")
    tests = _compare_with_reference(
        record, is_same=_SAME_AS_MEANT, otherwise=_asserts(record)
    )
    return _make_mbpp(record, tests, cpu_secs=_PLUS_CPU_SECS)


def _make_mbpp(
    record: Mapping[str, Any], tests: str, *, cpu_secs: float | None = None
) -> BenchmarkItem:
    problem = get_source("mbpp").parse(record).problem
    limits = problem.limits
    if cpu_secs is not None:
        limits = dataclasses.replace(limits, cpu_secs=cpu_secs)

    def official(completion: Completion) -> Question:
        return runs_through(f"{completion.text}\n{tests}", limits)

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


def _compare_with_reference(
    record: Mapping[str, Any], *, is_same: str, otherwise: str
) -> str:
    """A program that holds results against the reference's, on all inputs.

    An input on which the reference itself fails, for the file holds lists where a
    tuple or set was meant, is passed over; `otherwise` is run if none is left.
    `is_same` defines `_is_same(value, wanted, atol)`.
    """
    values = {
        "entry": text_of(record, "entry_point"),
        "reference": text_of(record, "canonical_solution"),
        "inputs": [*(record.get("base_input") or []), *record["plus_input"]],
        "atol": record.get("atol") or 0,
        "otherwise": otherwise,
    }
    comparison = _COMPARISON.format(**{name: repr(v) for name, v in values.items()})
    return is_same + comparison


_PLUS_CPU_SECS = 10.0  # the reference runs too
# evalplus's own comparison: a tolerance, 1e-6 where a task declares none, only for a
# float or a flat list or tuple of floats, and only between results of one type.
_SAME_AS_EVALPLUS = """
def _is_same(value, wanted, atol):
    if value == wanted:
        return True
    wanteds = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    if not atol and all(isinstance(w, float) for w in wanteds):
        atol = 1e-6
    if not atol or type(value) is not type(wanted):
        return False
    values = value if isinstance(wanted, (list, tuple)) else [value]
    return len(values) == len(wanteds) and all(
        v == w or abs(v - w) <= atol + 1e-7 * abs(w) < inf
        for v, w in zip(values, wanteds)
    )
"""
# Of MBPP+, whose file holds lists where tuples were meant: those are equal here, and
# floats within the tolerance wherever they stand. evalplus is stricter.
_SAME_AS_MEANT = """
def _is_same(value, wanted, atol):
    if isinstance(wanted, float) or isinstance(value, float):
        # evalplus: 1e-6 where a task declares no tolerance of its own
        atol = atol or 1e-6
        if value != value and wanted != wanted:
            return True
        return value == wanted or abs(value - wanted) <= atol + 1e-7 * abs(wanted)
    if isinstance(wanted, (list, tuple)) and isinstance(value, (list, tuple)):
        pairs = zip(value, wanted)
        return len(value) == len(wanted) and all(_is_same(v, w, atol) for v, w in pairs)
    if type(wanted).__eq__ is object.__eq__:  # a match object: found or not found
        return (value is None) == (wanted is None)
    return value == wanted
"""
_COMPARISON = """
import copy as _copy
inf, nan = float("inf"), float("nan")  # as they are written in the inputs

_names, _compared = {{}}, 0
exec({reference}, _names)
for _inputs in {inputs}:
    try:
        _wanted = _names[{entry}](*_copy.deepcopy(_inputs))
    except Exception:
        continue
    _compared += 1
    _value = globals()[{entry}](*_copy.deepcopy(_inputs))
    if {entry} == "find_zero":  # any root will do, for evalplus as well
        assert abs(_names["poly"](*_inputs, _value)) <= {atol}
        continue
    assert _is_same(_value, _wanted, {atol})
if not _compared:
    exec({otherwise})
"""


def _whole_program(problem: Problem, completion: Completion) -> str:
    if completion.is_whole_program:
        return completion.text
    return problem.starter + completion.text


def _strictly_judged(problem: Problem, completion: Completion) -> Question:
    if problem.num_tests_left_out or not problem.call_tests:
        return None
    return judged(problem, _whole_program(problem, completion))
