"""The facts of a trace: what may truly be said of a run, in the order it happened.

Rewriters render facts; the grounding check looks an explanation's statements up in
them. Both therefore mean the same thing by "x became 4".
"""

import dataclasses
import enum
from collections.abc import Iterator

from simex.nlex.structure import Structure, read_structure
from simex.traces.trace import Event, EventKind, Trace


class FactKind(enum.Enum):
    SET = "set"  # a variable got a value
    APPEND = "append"  # a list grew by one element at its end
    BRANCH = "branch"  # a condition held ("yes") or did not ("no")
    CALL = "call"  # a function of the program was entered
    RETURN = "return"  # ... and left with a value
    RAISE = "raise"  # an exception passed through a frame


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that happened.

    Example: after ``t += x`` with t = 3 and x = 4 comes
    ``Fact(kind=FactKind.SET, name="t", value="7", line=4, is_new_line=False)``.
    """

    kind: FactKind
    name: str  # the variable, or the function; "" for a branch
    value: str  # Python text; "yes" or "no" for a branch
    line: int  # the first of the statement that caused it; the very line of a RAISE
    is_new_line: bool  # a new statement or iteration begins: a reader wants a break
    working: str = ""
    """The expression that was worked out, its variables replaced by their values:
    "3 + 4" for ``t += x``. Empty where it would say no more than the value."""
    expression: str = ""  # the same as it stands in the source; of a branch only
    after: str = ""  # the whole text of the variable afterwards; SET and APPEND only
    depth: int = 0  # of the frame
    event: int = 0  # the index of the event that shows it


@dataclasses.dataclass
class _Frame:
    """What is known of one frame while its events go by."""

    line: int  # the first of the statement that runs
    is_cut: bool = False  # the statement may not come to its end: nothing follows
    values: dict[str, str] = dataclasses.field(default_factory=dict)


def collect_facts(trace: Trace) -> list[Fact]:
    """All facts of `trace`, in order.

    A statement has done its work when the next one of its frame begins: not while its
    own further lines run, and never once an exception ended it. Of a frame that goes on
    after a ``yield`` no earlier values are known: nothing tells which of several it is.
    """
    structure = read_structure(trace.source)
    facts: list[Fact] = []
    frames: list[_Frame] = [_Frame(line=0)]
    breaks = True  # does the next fact begin a line?
    for index, event in enumerate(trace.events):
        first_line = structure.first_lines.get(event.line, event.line)
        # A lambda stands in a statement of another frame.
        is_lambda = event.function == "<lambda>"
        if event.kind is EventKind.CALL:
            del frames[event.depth :]  # an earlier call from the same line
            entered = event.line if is_lambda else first_line
            frames.append(_Frame(line=entered, is_cut=is_lambda))
        # A frame that an exception left has no RETURN of its own.
        del frames[event.depth + 1 :]
        frame = frames[-1]
        begins = event.kind is EventKind.LINE and first_line != frame.line
        is_raised = event.kind is EventKind.EXCEPTION
        line = event.line if is_raised else frame.line or event.line
        for fields in _facts_of_event(event, frame, structure, begins):
            if frame.line not in structure.in_loops:
                breaks = True
            facts.append(
                Fact(
                    **fields,
                    line=line,
                    is_new_line=breaks,
                    depth=event.depth,
                    event=index,
                )
            )
            breaks = False
        if event.kind is EventKind.LINE:
            breaks = breaks or first_line in structure.loop_headers
        frame.is_cut |= is_raised
        if begins and not is_lambda:
            frame.line, frame.is_cut = first_line, False
    return facts


def _facts_of_event(
    event: Event, frame: _Frame, structure: Structure, begins: bool
) -> Iterator[dict]:
    """The fields of each fact that the event decides.

    `begins` tells a LINE at which another statement begins.
    """
    is_done = begins and not frame.is_cut
    working, found = "", structure.workings.get(frame.line)
    if found is not None and not frame.is_cut:
        working = found.render(frame.values)
    if event.kind is EventKind.CALL:
        yield {"kind": FactKind.CALL, "name": event.function, "value": ""}
    assigned = structure.assigned.get(frame.line, ())  # not what merely changed with it
    for name, value in _find_assignments(event, frame, structure, is_done):
        grown = _find_appended(frame.values.get(name), value)
        frame.values[name] = value
        yield {
            "kind": FactKind.SET if grown is None else FactKind.APPEND,
            "name": name,
            "value": value if grown is None else grown,
            "after": value,
            "working": working if grown is None and name in assigned else "",
        }
    body = structure.branch_bodies.get(frame.line)
    # A condition that does not hold may be the last thing that a frame looks at.
    is_last = event.kind is EventKind.RETURN and frame.line not in structure.undecided
    if body is not None and (is_done or (is_last and not frame.is_cut)):
        yield {
            "kind": FactKind.BRANCH,
            "name": "",
            "value": "yes" if is_done and event.line in body else "no",
            "working": working,
            "expression": found.source if found is not None else "",
        }
    if event.kind is EventKind.RETURN and event.depth > 0:
        value = event.value or "None"
        yield {"kind": FactKind.RETURN, "name": event.function, "value": value}
    elif event.kind is EventKind.EXCEPTION:
        value = event.value or ""
        yield {"kind": FactKind.RAISE, "name": event.function, "value": value}


def _find_assignments(
    event: Event, frame: _Frame, structure: Structure, is_done: bool
) -> Iterator[tuple[str, str]]:
    """The variables that the running statement set, with their text.

    A trace holds what changed. A statement that is done and set a variable to the value
    that it had is told too: whoever follows the program says "t is 10" after ``t += 0``.
    """
    yield from event.changed.items()
    body = structure.loop_bodies.get(frame.line)
    is_left = body is not None and event.line not in body
    if is_done and not is_left:
        for name in structure.assigned.get(frame.line, ()):
            if name not in event.changed and name in frame.values:
                yield name, frame.values[name]


def _find_appended(before: str | None, after: str) -> str | None:
    """The element that made list text `before` into `after`, if one append did."""
    if before is None or not (before.startswith("[") and after.endswith("]")):
        return None
    stem = before[:-1] + (", " if before != "[]" else "")
    if not after.startswith(stem) or len(after) <= len(stem) + 1:
        return None
    element = after[len(stem) : -1]
    return None if "," in element or "…" in element else element
