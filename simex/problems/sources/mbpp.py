"""MBPP: short tasks in one sentence, each with a reference and a few asserts.

Three published forms (Austin et al. 2021, arXiv 2108.07732): ``{"task_id", "text",
"code", "test_list", "test_setup_code", "challenge_test_list"}``; the sanitized file with
``prompt`` and ``test_imports``; and MBPP+ (Liu et al. 2023, arXiv 2305.01210) with
``prompt``, ``canonical_solution`` and ``assertion``. Tasks 11 to 510 are the test
split and 511 to 600 the validation split; whoever trains takes only the others.
"""

import re
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import Limits, Problem
from simex.problems.program import Program, SourceItem
from simex.problems.rows import BadRecord, text_of, texts_of
from simex.problems.sources.assertions import parse_assertions

LICENSE = "CC-BY-4.0"
LIMITS = Limits(cpu_secs=3.0)
_TEST_IDS, _VALIDATION_IDS = range(11, 511), range(511, 601)


def parse_mbpp(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or the id holds no number."""
    number = number_of(record)
    tests = texts_of(record.get("test_list"), "test_list")
    tests += texts_of(record.get("challenge_test_list"), "challenge_test_list")
    if isinstance(record.get("assertion"), str):
        tests.append(record["assertion"])
    found = parse_assertions(tests, num_public=1)
    statement = text_of(record, "text", "prompt").strip("'\" \n")
    problem = Problem(
        id=f"mbpp/{number}",
        statement=f"{statement}\n",
        tests=(),
        call_tests=found.calls,
        float_tol=found.float_tol,
        num_tests_left_out=found.num_left_out,
        checker="lines",
        source="mbpp",
        composition=f"mbpp/{number}",
        split=_split_of(number),
        limits=LIMITS,
        license=LICENSE,
        origin="google-research/google-research mbpp",
    )
    setup = [text_of({"setup": "", **record}, "test_setup_code", "setup")]
    setup += texts_of(record.get("test_imports"), "test_imports")
    code = text_of(record, "code", "canonical_solution").replace("\r\n", "\n")
    source = "\n".join([*filter(None, setup), code.strip("\n")]) + "\n"
    return SourceItem(
        problem=problem,
        programs=(Program(source=source, license=LICENSE, origin=problem.origin),),
    )


def number_of(record: Mapping[str, Any]) -> int:
    """The number of a record's task. Raises BadRecord."""
    found = re.fullmatch(r"(?:Mbpp/)?([0-9]{1,6})", str(record.get("task_id")))
    if found is None:
        raise BadRecord(f"task_id is no number of a task: {record.get('task_id')!r}")
    return int(found.group(1))


def _split_of(number: int) -> str:
    if number in _TEST_IDS:
        return "test"
    return "validation" if number in _VALIDATION_IDS else "train"
