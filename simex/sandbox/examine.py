"""From a test to a run, and from the run's outcome to a verdict.

A test is a stdin with its stdout, or a call with its result. What is expected stays in
the driver; only stdin, or the function's name and the arguments, go into the box.
"""

from collections.abc import Callable, Sequence

from simex.problems.problem import CallCase, Limits, TestCase
from simex.sandbox.call import encode_call
from simex.sandbox.checkers import Checker, get_checker
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus, Verdict
from simex.sandbox.results import ExpectedResult, ResultRule, rule_of

Test = TestCase | CallCase
Examine = Callable[[Test, RunOutcome], Verdict]

NOT_RETURNED = "the program ended before the function returned"
_MAX_SHOWN_CHARS = 80
MAX_SHOWN_BYTES = 1 << 16  # `describe` looks no further
_VERDICT_OF_STATUS = {
    RunStatus.TIME_LIMIT: Verdict.TIME_LIMIT,
    RunStatus.MEMORY_LIMIT: Verdict.MEMORY_LIMIT,
    RunStatus.OUTPUT_LIMIT: Verdict.OUTPUT_LIMIT,
    RunStatus.RUNTIME_ERROR: Verdict.RUNTIME_ERROR,
    RunStatus.COMPILE_ERROR: Verdict.COMPILE_ERROR,
    RunStatus.BLOCKED: Verdict.BLOCKED,
}


def make_request(test: Test, source: str, limits: Limits) -> RunRequest:
    """The run that decides a test. Raises ValueError for arguments with no text."""
    if isinstance(test, TestCase):
        return RunRequest(source=source, stdin=test.stdin, limits=limits)
    call = encode_call(test.function, test.arguments)
    return RunRequest(source=source, limits=limits, call=call)


def make_examiner(
    tests: Sequence[Test], checker: str | Checker, float_tol: float | None = None
) -> Examine:
    """What gives the verdicts of `tests`.

    `checker` compares stdouts; by its name, or by the default rule, results are
    compared. Raises UserError for a checker or tolerance that does not fit.
    """
    check: Checker | None = None
    if not isinstance(checker, str):
        check = checker
    elif any(isinstance(test, TestCase) for test in tests):
        check = get_checker(checker, float_tol)
    else:
        get_checker(checker)
    rule = rule_of(checker, float_tol)

    def examine(test: Test, outcome: RunOutcome) -> Verdict:
        if isinstance(test, CallCase):
            return judge_call(outcome, test.expected_result, rule)
        assert check is not None  # made above, because this test is among `tests`
        return judge_run(outcome, test.expected_stdout, check)

    return examine


def judge_run(outcome: RunOutcome, expected_stdout: str, check: Checker) -> Verdict:
    """The verdict of one run; stdout is looked at only after a clean end."""
    if not outcome.status.is_ok:
        return _VERDICT_OF_STATUS[outcome.status]
    is_right = check(outcome.stdout, expected_stdout)
    return Verdict.ACCEPTED if is_right else Verdict.WRONG_OUTPUT


def judge_call(
    outcome: RunOutcome, expected_result: object, rule: ResultRule = ResultRule()
) -> Verdict:
    """The verdict of one call. No result is a runtime error even after exit code 0."""
    if not outcome.status.is_ok:
        return _VERDICT_OF_STATUS[outcome.status]
    if not outcome.result:
        return Verdict.RUNTIME_ERROR
    fault = ExpectedResult(expected_result).find_fault(outcome.result, rule)
    return Verdict.ACCEPTED if fault is None else Verdict.WRONG_OUTPUT


def describe(test: Test, outcome: RunOutcome, verdict: Verdict) -> str:
    """A short line for people on why a test was not accepted; "" if it was.

    Example: ``line 2: printed '5', expected '6'``.
    """
    if verdict.is_accepted:
        return ""
    if verdict is not Verdict.WRONG_OUTPUT:
        lines = outcome.stderr_tail.strip().splitlines()
        if outcome.status.is_ok:
            return NOT_RETURNED
        return lines[-1][:_MAX_SHOWN_CHARS] if lines else ""
    if isinstance(test, TestCase):
        return _first_difference(outcome.stdout, test.expected_stdout)
    expected = ExpectedResult(test.expected_result)
    return expected.find_fault(outcome.result or b"") or "it returned another value"


def _first_difference(printed: bytes, expected: str) -> str:
    text = printed[:MAX_SHOWN_BYTES].decode("utf-8", "replace")
    lines = text.rstrip().split("\n")
    wanted = expected[:MAX_SHOWN_BYTES].rstrip().split("\n")
    for number, (line, want) in enumerate(zip(lines, wanted), start=1):
        if line.rstrip() != want.rstrip():
            return f"line {number}: printed {_shown(line)}, expected {_shown(want)}"
    return f"printed {len(lines)} lines, expected {len(wanted)}"


def _shown(line: str) -> str:
    return repr(
        line if len(line) <= _MAX_SHOWN_CHARS else line[:_MAX_SHOWN_CHARS] + "…"
    )
