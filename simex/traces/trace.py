"""A trace: what a program did, line by line."""

import dataclasses
import enum


class EventKind(enum.Enum):
    LINE = "line"  # the line is about to run
    CALL = "call"  # a function of the program was entered
    RETURN = "return"
    EXCEPTION = "exception"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One step of a run.

    `changed` holds the variables of this frame whose text changed since the frame's
    previous event, as bounded Python text, e.g. ``{"t": "8", "a": "[1, 2]"}``. So a
    LINE event shows the effect of the line that ran before it in the same frame.
    Names of modules, functions and classes are left out, a value that is too long ends
    in "…", and an object of the program reads ``<Name field=value>``.

    A function has a CALL and a RETURN, or, if an exception leaves it, an EXCEPTION and
    no RETURN. A generator has a CALL each time it goes on and a RETURN at each yield.
    The module has no CALL; its RETURN is the last event and shows the last effects.
    """

    kind: EventKind
    line: int  # 1-based, in the program's own source
    function: str  # "<module>" at top level
    depth: int  # 0 at top level
    changed: dict[str, str]
    value: str | None = None  # RETURN: the value; EXCEPTION: "Type: message"
    stdout_length: int = 0  # characters printed before this event


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """A whole run of `source` on `stdin`."""

    source: str
    stdin: str
    stdout: str
    events: tuple[Event, ...]
    is_truncated: bool  # the event or byte cap was reached
    python_version: str  # traces depend on the interpreter: "3.11.7"
