"""A program inside a rollout, with what it printed and what was predicted of it."""

import dataclasses
from collections.abc import Sequence

from simex.core.errors import InfraError
from simex.problems.problem import Problem, TestCase, Visibility
from simex.sandbox.outcome import Judgement, RunOutcome, Verdict
from simex.tasks.rewards import read_stated

MAX_SOURCE_CHARS = 20_000
MAX_HIDDEN_SHOWN = 4  # hidden tests that failed; of the others only the verdict is kept
MAX_CHARS = 2000  # of each text of a test; the rest is counted, not kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestReport:
    """One test of a program. Texts are clipped."""

    __test__ = False  # the name is the field's; pytest must not collect it

    visibility: str
    verdict: str  # "" where nothing was run
    stdin: str = ""
    expected: str = ""
    stdout: str | None = None  # None: nothing was run
    stderr: str = ""
    is_predicted: bool = False  # somebody was asked
    predicted: str | None = None  # None: nobody predicted, or the answer was refused
    is_prediction_right: bool | None = None  # None: nobody predicted, or no truth
    is_accepted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramReport:
    """A program that stood for some time, or the one whose output was asked for."""

    source: str
    tests: tuple[TestReport, ...] = ()
    feedback: str = ""  # what the next turn was shown: "executed", "predicted" or ""
    fault: str = ""  # of our own machinery, where it could not be judged


def report_program(
    source: str,
    problem: Problem,
    judgement: Judgement | InfraError | None,
    *,
    feedback: str = "",
    predicted: Sequence[str | None] = (),
) -> ProgramReport:
    """What is kept of a program for people.

    Args:
      source: the program.
      problem: that it answers.
      judgement: of every test, if there is one.
      feedback: what the next turn was shown.
      predicted: for each public test; empty where nobody predicted.
    """
    truths = executed_stdouts(problem.tests, judgement)
    said = {
        number: _read_prediction(value, truth, problem)
        for number, value, truth in zip(
            _public_numbers(problem.tests), predicted, truths
        )
    }
    return _without_most_hidden_texts(
        ProgramReport(
            source=clipped(source, MAX_SOURCE_CHARS),
            feedback=feedback,
            fault=str(judgement) if isinstance(judgement, InfraError) else "",
            tests=tuple(
                TestReport(
                    visibility=test.visibility.value,
                    verdict="" if verdict is None else verdict.value,
                    is_accepted=verdict is not None and verdict.is_accepted,
                    stdin=clipped(test.stdin),
                    expected=clipped(test.expected_stdout),
                    stdout=None if outcome is None else _clipped_stdout(outcome),
                    stderr="" if outcome is None else clipped(outcome.stderr_tail),
                    is_predicted=number in said,
                    predicted=_clipped_or_none(said.get(number, (None, None))[0]),
                    is_prediction_right=said.get(number, (None, None))[1],
                )
                for number, (test, (verdict, outcome)) in enumerate(
                    zip(
                        problem.tests,
                        read_outcomes(problem.tests, judgement),
                        strict=True,
                    )
                )
            ),
        )
    )


def _without_most_hidden_texts(report: ProgramReport) -> ProgramReport:
    """A problem may have hundreds of hidden tests, and a record many programs."""
    num_shown = 0
    tests = []
    for test in report.tests:
        is_shown = test.visibility == Visibility.PUBLIC.value
        if not is_shown and not test.is_accepted and num_shown < MAX_HIDDEN_SHOWN:
            num_shown += 1
            is_shown = True
        tests.append(
            test
            if is_shown
            else dataclasses.replace(
                test, stdin="", expected="", stdout=None, stderr=""
            )
        )
    return dataclasses.replace(report, tests=tuple(tests))


def is_prediction_right(
    said: str | None, truth: str | None, problem: Problem
) -> bool | None:
    """None without a truth: a run that failed has no stdout to predict."""
    return _read_prediction(said, truth, problem)[1]


def _read_prediction(
    said: str | None, truth: str | None, problem: Problem
) -> tuple[str | None, bool | None]:
    """What is meant by a prediction, and whether it is right."""
    if truth is None:
        return said, None
    if said is None:
        return None, False
    return read_stated(
        said, truth, checker=problem.checker, float_tol=problem.float_tol
    )


def _public_numbers(tests: Sequence[TestCase]) -> list[int]:
    return [i for i, t in enumerate(tests) if t.visibility is Visibility.PUBLIC]


def _clipped_or_none(text: str | None) -> str | None:
    return None if text is None else clipped(text)


def read_outcomes(
    tests: Sequence[TestCase], judgement: Judgement | InfraError | None
) -> list[tuple[Verdict | None, RunOutcome | None]]:
    """Verdict and outcome of each test; (None, None) where nothing was judged."""
    if not isinstance(judgement, Judgement):
        return [(None, None)] * len(tests)
    return list(zip(judgement.verdicts, judgement.outcomes, strict=True))


def executed_stdouts(
    tests: Sequence[TestCase], judgement: Judgement | InfraError | None
) -> list[str | None]:
    """What the program printed on each public test; None for a run that did not end
    well or was not made.
    """
    return [
        outcome.stdout.decode(errors="replace")
        if outcome is not None and outcome.status.is_ok
        else None
        for test, (_, outcome) in zip(
            tests, read_outcomes(tests, judgement), strict=True
        )
        if test.visibility is Visibility.PUBLIC
    ]


def clipped(text: str, max_chars: int = MAX_CHARS) -> str:
    """The text, or its beginning and how many characters follow."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n… and {len(text) - max_chars:,} more characters"


def _clipped_stdout(outcome: RunOutcome) -> str:
    # Four bytes are the most that a character takes.
    head = outcome.stdout[: 4 * MAX_CHARS + 4].decode(errors="replace")
    num_bytes = len(outcome.stdout) + outcome.num_bytes_left_out
    if num_bytes > len(head.encode()):
        return f"{head[:MAX_CHARS]}\n… of {num_bytes:,} bytes in all"
    return clipped(head)
