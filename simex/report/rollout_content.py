"""What a page of rollouts shows, as plain data."""

import dataclasses
from collections.abc import Mapping

TRUNCATED, ALL_FAILED = "truncated", "all_failed"
PREDICTED_WRONG, ODD = "predicted_wrong", "odd"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """One sampled token. Levels are 0..9, for its colour."""

    text: str
    about: str  # its numbers, shown under the pointer
    surprise: int  # from the sampler's logprob
    gap: int  # from |trainer's - sampler's logprob|


@dataclasses.dataclass(frozen=True, kw_only=True)
class TurnContent:
    """One prompt with its completion."""

    task: str
    facts: str
    prompt: str
    tokens: tuple[Token, ...]
    is_trained: bool
    advantage: float  # 0 where it is not known
    advantage_level: float  # its size as a share of the step's largest, in 0..1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestContent:
    """One test: verdict, and texts side by side."""

    __test__ = False  # the name is the field's; pytest must not collect it

    title: str
    is_accepted: bool
    prediction: str  # "", "right", "wrong", "refused" or "no truth"
    stdin: str
    printed: tuple[tuple[str, str], ...]  # ("-" expected, "+" printed, " " both), line
    predicted: tuple[tuple[str, str], ...]  # ("-" true, "+" predicted, " " both), line
    stderr: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramContent:
    """A program with its tests."""

    title: str
    source: str
    fault: str
    tests: tuple[TestContent, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutContent:
    """One column of a group."""

    title: str
    facts: str
    notes: Mapping[str, str]
    oddities: tuple[str, ...]
    marks: tuple[str, ...]  # of TRUNCATED, PREDICTED_WRONG, ODD, ALL_FAILED
    is_good: bool
    turns: tuple[TurnContent, ...]
    programs: tuple[ProgramContent, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupContent:
    """The rollouts of one item, side by side."""

    objective: str
    objective_number: int
    item_id: str
    statement: str
    summary: str
    rollouts: tuple[RolloutContent, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepContent:
    """Everything on a page."""

    title: str
    objectives: tuple[str, ...]
    groups: tuple[GroupContent, ...]
    counts: Mapping[str, int]  # rollouts by mark
    has_gaps: bool  # the trainer's logprobs were recorded
