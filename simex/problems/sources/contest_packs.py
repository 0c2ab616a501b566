"""Contest problems and their runs, converted from public archives to JSON lines.

A problem: ``id``, ``source``, ``title``, ``contest``, ``statement``, ``checker``
{"type": tokens, float or custom, "tol"}, ``public_tests`` and ``hidden_tests``
[{"stdin", "stdout"}], ``solutions`` [{"language", "source", "repo", "path", "license",
"passed"}], ``license``, ``repo``, ``path``. A run: ``id``, ``problem``, ``program``,
``stdin``, ``stdout``, ``solution_license``, ``data_license``: what this program
printed, whether it is right or not.

Stdouts of problems are compared token by token, whatever the blanks and line breaks
between them: where ``source`` is "kattis-package" by the default validator of such
packages, which ignores letter case; where it is "codecontests" by that collection's own
rule; otherwise (Google's contests, whose judge is not published) case counts.
"""

from collections.abc import Mapping
from typing import Any

from simex.problems.problem import Limits, Problem, TestCase, Visibility
from simex.problems.program import Program, SourceItem
from simex.problems.rows import BadRecord, text_of

LIMITS = Limits(cpu_secs=5.0)
_CHECKERS = {"kattis-package": "kattis", "codecontests": "codecontests"}
_OTHER_CHECKER = "kattis_case"


def parse_contest_problem(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing."""
    checker = record.get("checker")
    if not isinstance(checker, Mapping):
        raise BadRecord("no object under checker")
    problem_id = text_of(record, "id")
    name = _CHECKERS.get(str(record.get("source")), _OTHER_CHECKER)
    problem = Problem(
        id=problem_id,
        statement=text_of(record, "statement"),
        tests=(
            *_tests(record.get("public_tests"), Visibility.PUBLIC),
            *_tests(record.get("hidden_tests"), Visibility.PRIVATE),
        ),
        checker=name,
        # The rule of CodeContests has a tolerance of its own.
        float_tol=None if name == "codecontests" else checker.get("tol"),
        has_many_answers=checker.get("type") == "custom",
        source="contests",
        composition=problem_id,
        limits=LIMITS,
        license=text_of(record, "license"),
        title=record.get("title") or "",
        tags=tuple(filter(None, [record.get("contest")])),
        origin=f"{record.get('repo', '')} {record.get('path', '')}".strip(),
    )
    programs = [
        Program(
            source=text_of(solution, "source"),
            license=text_of(solution, "license"),
            origin=f"{solution.get('repo', '')} {solution.get('path', '')}".strip(),
        )
        for solution in record.get("solutions") or ()
        if solution.get("language") == "python3"
    ]
    return SourceItem(problem=problem, programs=tuple(programs))


def parse_contest_run(record: Mapping[str, Any]) -> SourceItem:
    """One program, one stdin and what it prints, as a problem without a statement."""
    run_id = text_of(record, "id")
    origin = (
        f"{record.get('solution_repo', '')} {record.get('solution_path', '')}".strip()
    )
    test = TestCase(
        stdin=text_of(record, "stdin"),
        expected_stdout=text_of(record, "stdout"),
        visibility=Visibility.PUBLIC,
    )
    problem = Problem(
        id=run_id,
        statement="",
        tests=(test,),
        checker="exact",
        source="contest_runs",
        composition=text_of(record, "problem"),
        limits=LIMITS,
        license=text_of(record, "data_license"),
        origin=origin,
    )
    program = Program(
        source=text_of(record, "program"),
        license=text_of(record, "solution_license"),
        origin=origin,
    )
    return SourceItem(problem=problem, programs=(program,))


def _tests(value: Any, visibility: Visibility) -> list[TestCase]:
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise BadRecord("no list of tests")
    return [
        TestCase(
            stdin=text_of(test, "stdin"),
            expected_stdout=text_of(test, "stdout"),
            visibility=visibility,
        )
        for test in value
    ]
