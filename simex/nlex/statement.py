"""One thing that an explanation says, with its place in the text."""

import dataclasses
import enum


class StatementKind(enum.Enum):
    """What is said; the first six are facts of a trace (`facts.FactKind`)."""

    SET = "set"
    APPEND = "append"
    BRANCH = "branch"
    CALL = "call"
    RETURN = "return"
    RAISE = "raise"
    WORKING = "working"  # an expression with values, e.g. "3 + 4"
    EQUATION = "equation"  # "3 + 4 = 7", "len(a) is 2"
    COMPARISON = "comparison"  # "4 < 5 is true"
    PRINT = "print"
    LOOP = "loop"  # a loop runs so many times
    ITERATION = "iteration"  # there is an iteration of this number
    TURN = "turn"  # what follows is told of the iteration of this number
    LINE = "line"  # a line of a raw trace


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A statement as it was read, true or not.

    Example: in "t becomes 4." the statement ``Statement(kind=StatementKind.SET,
    name="t", value="4", start=0, end=11, value_start=10)``.
    """

    kind: StatementKind
    name: str  # the variable, function or expression; "" where none is named
    value: str
    start: int  # character offsets in the explanation's text; `end` is exclusive
    end: int
    value_start: int = -1  # where `value` stands; -1: it does not stand there as such
    line: int = 0  # the source line that is named; 0: none
    is_state: bool = False  # "t is 4", which may be said at any time while it holds
