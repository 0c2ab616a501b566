"""A trace: what a program did, line by line."""

import dataclasses
import enum


class EventKind(enum.Enum):
    LINE = "line"  # the line is about to run
    CALL = "call"  # a function of the program was entered
    RETURN = "return"
    EXCEPTION = "exception"
    STDOUT = "stdout"  # something was printed, by the line that runs


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
    A STDOUT comes after the line that printed began and before the next event of any
    other kind; what one line prints between two other events is one event.
    """

    kind: EventKind
    line: int  # 1-based, in the program's own source
    function: str  # "<module>" at top level
    depth: int  # 0 at top level
    changed: dict[str, str]
    value: str | None = None
    """RETURN: the value; EXCEPTION: "Type: message"; STDOUT: the printed text itself,
    its first characters if it is long."""
    stdout_length: int = 0  # characters printed before this event, or by a STDOUT
    changed_globals: dict[str, str] = dataclasses.field(default_factory=dict)
    """In functions: variables of the module that changed since the last event of any
    frame. The module's own next event has them in `changed` as well."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """A whole run of `source` on `stdin`."""

    source: str
    stdin: str
    stdout: str
    events: tuple[Event, ...]
    is_truncated: bool  # the event or byte cap was reached
    python_version: str  # traces depend on the interpreter: "3.11.7"
    is_lost: bool = False
    """tracing_lost: the program switched tracing off, or came too near to the recursion
    limit for the tracer to work."""
