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
    END_THINK,
    EXAMPLES,
    EXPECTED,
    INPUT,
    SUBMIT,
)
from simex.problems.problem import TestCase
from simex.tasks import solve
from simex.tasks.answer import Answer

parse_completion = solve.parse_completion
MAX_SHOWN = 60  # characters of an output in a thought


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


def render_thought(
    tests: Sequence[TestCase], outputs: Sequence[str], is_passed: Sequence[bool]
) -> str:
    """The reasoning that is taught: what each test wants, what came, and the verdict.

    Both values stand side by side, so that the verdict can be read off them; a small
    model that was taught verdicts alone learned to guess them (experiments/LOG.md).

    Example: for a test that wants 3 and an attempt that printed 0 it is
    ``"0 want 3 got 0 failed"``.

    Raises:
      ValueError: the arguments differ in length.
    """
    return "\n".join(
        f"{index} want {_on_one_line(test.expected_stdout)} got {_on_one_line(output)} "
        f"{'passed' if ok else 'failed'}"
        for index, (test, output, ok) in enumerate(
            zip(tests, outputs, is_passed, strict=True)
        )
    )


def _on_one_line(text: str) -> str:
    """Words of `text` with single blanks; of a long text the beginning, marked.

    Nothing that a program prints may end the thought.
    """
    line = " ".join(text.split())
    shown = line[:MAX_SHOWN].partition(END_THINK)[0]
    return line if shown == line else f"{shown}..."


def render_target(thought: str, source: str | None) -> str:
    """Submits the attempt when `source` is None, else replaces it by `source`."""
    return solve.render_target(thought, SUBMIT if source is None else source)


def is_submit(answer: Answer) -> bool:
    """Whether the answer's code block holds exactly the word to submit."""
    return answer.value is not None and answer.value.strip() == SUBMIT
