"""HumanEval: 164 functions, each with a docstring to go on from and asserts.

The benchmark's own file, one object a line: ``{"task_id", "prompt", "entry_point",
"canonical_solution", "test"}`` (Chen et al. 2021, arXiv 2107.03374). `test` defines
``check(candidate)``. HumanEval+ (Liu et al. 2023, arXiv 2305.01210) has inputs instead:
``base_input`` and ``plus_input``, lists of arguments, and here the reprs of what the
reference returns under ``plus_expected_repr``. Base inputs have no results, so they
count as left out here; `evals.scoring.assert_rules` runs them against the reference.

It is an evaluation set: nothing here may be trained on.
"""

import ast
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import CallCase, Limits, Problem, Visibility
from simex.problems.program import Program, SourceItem
from simex.problems.rows import BadRecord, text_of
from simex.problems.sources.assertions import (
    ParsedAssertions,
    literal_of,
    parse_assertions,
)

LICENSE = "MIT"
LIMITS = Limits(cpu_secs=3.0)  # as the benchmark's own checker
PLUS_FLOAT_TOL = 1e-6  # evalplus: of results with floats where `atol` is 0


def parse_humaneval(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing."""
    task_id, prompt = text_of(record, "task_id"), text_of(record, "prompt")
    entry = text_of(record, "entry_point")
    found = _tests_of(record, entry)
    problem = Problem(
        id=task_id,
        statement=prompt,
        starter=prompt,
        tests=(),
        call_tests=found.calls,
        float_tol=found.float_tol,
        num_tests_left_out=found.num_left_out,
        checker="lines",
        source="humaneval",
        composition=task_id,
        split="test",
        limits=LIMITS,
        license=LICENSE,
        title=entry,
        origin="openai/human-eval",
    )
    source = prompt + text_of(record, "canonical_solution")
    return SourceItem(
        problem=problem,
        programs=(Program(source=source, license=LICENSE, origin=problem.origin),),
    )


def _tests_of(record: Mapping[str, Any], entry: str) -> ParsedAssertions:
    if "plus_input" not in record:
        return parse_assertions([text_of(record, "test")], renamed={"candidate": entry})
    inputs, results = record["plus_input"], record.get("plus_expected_repr")
    if not isinstance(inputs, list) or not isinstance(results, list):
        raise BadRecord("plus_input and plus_expected_repr are no lists")
    calls = []
    for args, text in zip(inputs, results, strict=False):
        try:
            result = literal_of(ast.parse(text, mode="eval").body)
        except (ValueError, SyntaxError, TypeError):
            continue
        if isinstance(args, list):
            calls.append(
                CallCase(
                    function=entry,
                    arguments=tuple(args),
                    expected_result=result,
                    visibility=Visibility.PRIVATE,
                )
            )
    has_floats = any(_holds_float(call.expected_result) for call in calls)
    num_plus = max(len(inputs), len(results))
    return ParsedAssertions(
        calls=tuple(calls),
        float_tol=record.get("atol") or (PLUS_FLOAT_TOL if has_floats else None),
        num_left_out=num_plus - len(calls) + len(record.get("base_input") or ()),
    )


def _holds_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_float, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_holds_float, value))
    return isinstance(value, float)
