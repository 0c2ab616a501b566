"""Objective 2, first turn: given a statement and its public tests, write a program."""

from collections.abc import Sequence

from simex.nlex.layout import (
    CODE,
    END_CODE,
    END_THINK,
    EXAMPLES,
    EXPECTED,
    INPUT,
    THINK,
)
from simex.problems.problem import TestCase
from simex.tasks.answer import Answer, parse_tagged


def render_prompt(statement: str, tests: Sequence[TestCase]) -> str:
    """The statement, then the public tests."""
    parts = [statement, EXAMPLES]
    for index, test in enumerate(tests):
        parts.append(
            f"----- Test {index} -----\n{INPUT}{test.stdin.rstrip()}\n"
            f"{EXPECTED}{test.expected_stdout.rstrip()}\n"
        )
    return "".join(parts)


def render_target(thought: str, source: str) -> str:
    """A right completion that holds the program `source`."""
    code = source.strip("\n")
    return f"{THINK}{thought}{END_THINK}{CODE}{code}{END_CODE}"


def parse_completion(completion: str, *, is_truncated: bool = False) -> Answer:
    """The program: exactly one end of thought, then exactly one code block."""
    answer = parse_tagged(
        completion,
        end_thought=END_THINK,
        start=CODE,
        end=END_CODE,
        is_truncated=is_truncated,
    )
    return answer if answer.value is None else Answer(value=answer.value + "\n")
