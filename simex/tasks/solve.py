"""Objective 2, first turn: given a statement and its public tests, write a program."""

import re
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
from simex.tasks.answer import Answer, Refusal, parse_tagged

# A line that may open or close a code block.
_FENCE = re.compile(r"^```", re.MULTILINE)


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
    """The program: exactly one end of thought, then exactly one code block.

    A second block counts whatever its language, and so does a fence inside the program:
    where the block ends would be a guess.
    """
    answer = parse_tagged(
        completion,
        end_thought=END_THINK,
        start=CODE,
        end=END_CODE,
        is_truncated=is_truncated,
    )
    if answer.value is None:
        return answer
    if len(_FENCE.findall(completion.split(END_THINK)[1])) > 2:
        return Answer(refusal=Refusal.SEVERAL_ANSWERS)
    return Answer(value=answer.value + "\n")
