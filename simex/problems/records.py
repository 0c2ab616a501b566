"""Problems with their programs as JSON records, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from simex.problems.problem import Limits, Problem, TestCase, Visibility


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProblemWithPrograms:
    """A problem and programs that were written for it, right ones first."""

    problem: Problem
    right_programs: tuple[str, ...]
    wrong_programs: tuple[str, ...]  # judged wrong on at least one test


def to_record(item: ProblemWithPrograms) -> dict[str, Any]:
    """A JSON-ready dict from which `from_record` makes an equal object."""
    problem = item.problem
    record = {
        field.name: getattr(problem, field.name)
        for field in dataclasses.fields(problem)
        if field.name not in ("tests", "limits")
    }
    record["tests"] = [
        {
            "stdin": t.stdin,
            "stdout": t.expected_stdout,
            "visibility": t.visibility.value,
        }
        for t in problem.tests
    ]
    record["limits"] = dataclasses.asdict(problem.limits)
    record["right_programs"] = list(item.right_programs)
    record["wrong_programs"] = list(item.wrong_programs)
    return record


def from_record(record: Mapping[str, Any]) -> ProblemWithPrograms:
    """The inverse of `to_record`."""
    fields = dict(record)
    tests = tuple(
        TestCase(
            stdin=t["stdin"],
            expected_stdout=t["stdout"],
            visibility=Visibility(t["visibility"]),
        )
        for t in fields.pop("tests")
    )
    return ProblemWithPrograms(
        right_programs=tuple(fields.pop("right_programs")),
        wrong_programs=tuple(fields.pop("wrong_programs")),
        problem=Problem(
            **{**fields, "tests": tests, "limits": Limits(**fields.pop("limits"))}
        ),
    )
