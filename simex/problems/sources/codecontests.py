"""CodeContests: problems of five contest sites with right and wrong solutions.

The published record (Li et al. 2022, arXiv 2203.07814): ``name``, ``description``,
``public_tests``, ``private_tests`` and ``generated_tests`` (either {"input": [...],
"output": [...]} as in parquet, or a list of {"input", "output"}), ``solutions`` and
``incorrect_solutions`` ({"language", "solution"}, columns or rows), ``difficulty``,
``cf_rating``, ``cf_tags``, ``time_limit`` {"seconds", "nanos"}, ``memory_limit_bytes``,
``source``, ``input_file``, ``is_description_translated``. Only Python 3 programs are
taken. Its checker is `codecontests`.

DMC, for evaluation, is the problems of its valid and test splits without programs.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from simex.problems.problem import Limits, Problem, TestCase, Visibility
from simex.problems.program import Claim, Program, SourceItem
from simex.problems.rows import BadRecord, text_of

LICENSE = "CC-BY-4.0"
PYTHON3 = (3, "PYTHON3")
SITES: tuple[str, ...] = (
    *("unknown", "codechef", "codeforces", "hackerearth"),
    *("codejam", "atcoder", "aizu"),
)
DEFAULT_CPU_SECS = 5.0
_MIB = 1 << 20
_TESTS = (
    ("public_tests", Visibility.PUBLIC),
    ("private_tests", Visibility.PRIVATE),
    ("generated_tests", Visibility.GENERATED),
)


def parse_codecontests(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where it is no such record, or reads and writes files."""
    name = text_of(record, "name")
    if record.get("input_file") or record.get("output_file"):
        raise BadRecord("programs of this problem read and write files by name")
    problem = Problem(
        id=f"codecontests/{name}",
        statement=text_of(record, "description"),
        tests=tuple(
            TestCase(stdin=stdin, expected_stdout=stdout, visibility=visibility)
            for field, visibility in _TESTS
            for stdin, stdout in _rows_of(record.get(field), "input", "output")
        ),
        checker="codecontests",
        source="codecontests",
        composition=f"codecontests/{name}",
        limits=_limits(record),
        license=LICENSE,
        title=name,
        rating=record.get("cf_rating") or None,
        tags=tuple(tag for tag in record.get("cf_tags") or () if tag),
        origin=_site(record.get("source")),
    )
    programs = [
        Program(source=source, claim=claim, license=LICENSE, origin=problem.origin)
        for field, claim in (
            ("solutions", Claim.RIGHT),
            ("incorrect_solutions", Claim.WRONG),
        )
        for language, source in _rows_of(record.get(field), "language", "solution")
        if language in PYTHON3
    ]
    return SourceItem(problem=problem, programs=tuple(programs))


def parse_dmc(record: Mapping[str, Any]) -> SourceItem:
    """A problem of the valid or test split. Raises as `parse_codecontests` does."""
    problem = parse_codecontests(record).problem
    return SourceItem(problem=dataclasses.replace(problem, split="test"))


def _rows_of(value: Any, first: str, second: str) -> Iterator[tuple[Any, str]]:
    """Pairs of a table that is written by columns or by rows."""
    if value is None:
        return
    if isinstance(value, Mapping):
        ones, others = value.get(first), value.get(second)
        if not isinstance(ones, list) or not isinstance(others, list):
            raise BadRecord(f"no lists under {first} and {second}")
        pairs = list(zip(ones, others))
        if len(ones) != len(others):
            raise BadRecord(f"{len(ones)} {first}s but {len(others)} {second}s")
    elif isinstance(value, list) and all(isinstance(v, Mapping) for v in value):
        pairs = [(v.get(first), v.get(second)) for v in value]
    else:
        raise BadRecord(f"no table of {first} and {second}")
    for one, other in pairs:
        if not isinstance(other, str) or not isinstance(one, str | int):
            raise BadRecord(f"a {first} or {second} is missing")
        yield one, other


def _limits(record: Mapping[str, Any]) -> Limits:
    time_limit = record.get("time_limit") or {}
    if not isinstance(time_limit, Mapping):
        raise BadRecord("time_limit holds no seconds and nanos")
    secs = (time_limit.get("seconds") or 0) + (time_limit.get("nanos") or 0) / 1e9
    memory_mib = int(record.get("memory_limit_bytes") or 0) // _MIB
    return Limits(
        cpu_secs=secs or DEFAULT_CPU_SECS,
        memory_mib=memory_mib or Limits().memory_mib,
    )


def _site(value: Any) -> str:
    if isinstance(value, int) and 0 <= value < len(SITES):
        return SITES[value]
    return value.lower() if isinstance(value, str) else SITES[0]
