"""APPS and TACO: contest problems with tests as one JSON text.

APPS (Hendrycks et al. 2021, arXiv 2105.09938): ``problem_id``, ``question``,
``solutions`` and ``input_output`` (JSON texts), ``difficulty``, ``url``,
``starter_code``. TACO (Li et al. 2023, arXiv 2312.14852) has the same fields without
the id, and ``name``, ``source``, ``tags``, ``time_limit``, ``memory_limit``.
`input_output` is {"inputs": [...], "outputs": [...]}, with ``fn_name`` where functions
are called. Then the published checkers take an output of one element as the value
itself as well; here it is unpacked where every output has that form.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import CallCase, Limits, Problem, TestCase, Visibility
from simex.problems.program import Program, SourceItem
from simex.problems.rows import BadRecord, parse_json, text_of, texts_of

LICENSE = {"apps": "MIT", "taco": "Apache-2.0"}
DEFAULT_CPU_SECS = 4.0
_UNITS_MIB = {"kilobytes": 1 / 1024, "megabytes": 1.0, "gigabytes": 1024.0}


def parse_apps(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or broken."""
    return _parse(record, "apps", str(record.get("problem_id", record.get("id", ""))))


def parse_taco(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or broken."""
    # The published records have no number of their own.
    digest = hashlib.sha256(text_of(record, "question").encode()).hexdigest()[:12]
    return _parse(record, "taco", digest)


def _parse(record: Mapping[str, Any], source: str, number: str) -> SourceItem:
    if not number:
        raise BadRecord("no problem_id")
    license = LICENSE[source]
    table = parse_json(record.get("input_output") or "{}", "input_output")
    if not isinstance(table, Mapping):
        raise BadRecord("input_output is no object")
    inputs, outputs = table.get("inputs") or [], table.get("outputs") or []
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise BadRecord("inputs and outputs are no lists")
    if len(inputs) != len(outputs):
        raise BadRecord(f"{len(inputs)} inputs but {len(outputs)} outputs")
    fn = table.get("fn_name")
    starter = record.get("starter_code") or ""
    programs = parse_json(record.get("solutions") or "[]", "solutions")
    origin = record.get("url") or record.get("source") or ""
    problem = Problem(
        id=f"{source}/{number}",
        statement=text_of(record, "question"),
        tests=() if fn else tuple(map(_test, inputs, outputs)),
        call_tests=_calls(fn, inputs, outputs) if fn else (),
        checker="lines",
        source=source,
        composition=f"{source}/{number}",
        limits=_limits(record),
        license=license,
        starter=starter,
        title=record.get("name") or "",
        tags=_tags(record),
        origin=origin,
    )
    return SourceItem(
        problem=problem,
        programs=tuple(
            Program(source=text, license=license, origin=origin)
            for text in texts_of(programs, "solutions")
        ),
    )


def _test(given: Any, expected: Any) -> TestCase:
    return TestCase(
        stdin=_joined(given),
        expected_stdout=_joined(expected),
        visibility=Visibility.PRIVATE,
    )


def _joined(value: Any) -> str:
    """A text, or the lines of one."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise BadRecord("an input or output is no text and no list of lines")
    return value


def _calls(fn: Any, inputs: list[Any], outputs: list[Any]) -> tuple[CallCase, ...]:
    if not isinstance(fn, str) or not all(isinstance(i, list) for i in inputs):
        raise BadRecord("tests of a function need fn_name and lists of arguments")
    if all(isinstance(o, list) and len(o) == 1 for o in outputs):
        outputs = [o[0] for o in outputs]
    return tuple(
        CallCase(
            function=fn,
            arguments=tuple(i),
            expected_result=o,
            visibility=Visibility.PRIVATE,
        )
        for i, o in zip(inputs, outputs)
    )


def _limits(record: Mapping[str, Any]) -> Limits:
    secs = re.match(r"([0-9.]+) seconds?", str(record.get("time_limit")))
    memory = re.match(r"([0-9.]+) (\w+)", str(record.get("memory_limit")))
    unit = _UNITS_MIB.get(memory.group(2), 0.0) if memory else 0.0
    memory_mib = int(float(memory.group(1)) * unit) if memory else 0
    return Limits(
        cpu_secs=float(secs.group(1)) if secs else DEFAULT_CPU_SECS,
        memory_mib=memory_mib or Limits().memory_mib,
    )


def _tags(record: Mapping[str, Any]) -> tuple[str, ...]:
    """TACO writes its lists of tags as the repr of a list."""
    found = re.findall(r"'([^']+)'", str(record.get("tags") or ""))
    difficulty = record.get("difficulty")
    return (*([difficulty.lower()] if isinstance(difficulty, str) else []), *found)
