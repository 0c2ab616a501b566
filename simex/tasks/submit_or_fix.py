"""Objective 2, later turns: submit the attempt, or write a new whole program.

The prompt shows the attempt's outputs on the public tests; whether they were executed
or predicted is the caller's choice, and the prompt looks the same.
"""

from collections.abc import Sequence

from simex.nlex.layout import (
    ATTEMPT,
    ATTEMPT_OUTPUT,
    CODE,
    END_CODE,
    EXAMPLES,
    EXPECTED,
    INPUT,
    SUBMIT,
)
from simex.problems.problem import TestCase
from simex.tasks import solve
from simex.tasks.answer import Answer

parse_completion = solve.parse_completion


def render_prompt(
    statement: str, attempt: str, tests: Sequence[TestCase], outputs: Sequence[str]
) -> str:
    """Problem, attempt, and per public test input, expected and the attempt's output.

    Raises:
      ValueError: `outputs` and `tests` differ in length.
    """
    code = attempt.strip("\n")
    parts = [f"{statement}\n{ATTEMPT}{CODE}{code}{END_CODE}{EXAMPLES}"]
    for index, (test, output) in enumerate(zip(tests, outputs, strict=True)):
        parts.append(
            f"----- Test {index} -----\n{INPUT}{test.stdin.rstrip()}\n"
            f"{EXPECTED}{test.expected_stdout.rstrip()}\n"
            f"{ATTEMPT_OUTPUT}{output.rstrip()}\n"
        )
    return "".join(parts)


def render_thought(is_passed: Sequence[bool]) -> str:
    """The reasoning that is taught: which public tests the attempt passes.

    Example: ``render_thought([True, False])`` is ``"0 passed\\n1 failed"``.
    """
    return "\n".join(
        f"{index} {'passed' if ok else 'failed'}" for index, ok in enumerate(is_passed)
    )


def render_target(thought: str, source: str | None) -> str:
    """Submits the attempt when `source` is None, else replaces it by `source`."""
    return solve.render_target(thought, SUBMIT if source is None else source)


def is_submit(answer: Answer) -> bool:
    """Whether the answer's code block holds exactly the word to submit."""
    return answer.value is not None and answer.value.strip() == SUBMIT
