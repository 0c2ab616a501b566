"""Objective 1: given a program and its stdin, reason, then predict the exact stdout.

The prompt holds neither the statement nor the expected output (METHOD: the program may
be wrong, and its problem must not give the answer away).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from simex.nlex.layout import (
    END_OUTPUT,
    END_PYTHON,
    END_THINK,
    INPUT,
    OUTPUT,
    PYTHON,
    THINK,
)
from simex.problems.problem import Limits
from simex.tasks.answer import Answer, parse_tagged


def render_prompt(source: str, stdin: str) -> str:
    """The prompt for `source` on `stdin`."""
    code = source.strip("\n")
    return f"{PYTHON}{code}{END_PYTHON}\n{INPUT}{stdin.rstrip()}"


def render_target(thought: str, stdout: str) -> str:
    """A right completion; with an empty `thought` it is the direct answer."""
    return f"{THINK}{thought}{END_THINK}{OUTPUT}{stdout.rstrip()}{END_OUTPUT}"


def parse_completion(completion: str, *, is_truncated: bool = False) -> Answer:
    """The predicted stdout as it is written; see `rewards.as_meant`."""
    return parse_tagged(
        completion,
        end_thought=END_THINK,
        start=OUTPUT,
        end=END_OUTPUT,
        is_truncated=is_truncated,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionItem:
    """A program on one stdin, with what it really printed."""

    id: str
    group: str  # the unit of the split, and of clustered intervals
    role: str  # "right" or "wrong", as the judge found the program
    source: str
    stdin: str
    stdout: str
    checker: str  # how a prediction is compared with `stdout`
    float_tol: float | None = None  # the tolerance that its problem declares
    limits: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Of the run: the fields of a `Limits`. Older records have none, and the defaults."""

    @property
    def run_limits(self) -> Limits:
        return Limits(**self.limits)
