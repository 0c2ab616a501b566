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
    line: int  # the source line that caused it
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

    values: dict[str, str]
    last_line: int


def collect_facts(trace: Trace) -> list[Fact]:
    """All facts of `trace`, in order."""
    structure = read_structure(trace.source)
    facts: list[Fact] = []
    frames: list[_Frame] = [_Frame(values={}, last_line=0)]
    breaks = True  # does the next fact begin a line?
    for index, event in enumerate(trace.events):
        if event.kind is EventKind.CALL:
            frames.append(_Frame(values={}, last_line=event.line))
        # A frame that an exception left has no RETURN of its own.
        del frames[event.depth + 1 :]
        frame = frames[-1]
        for fields in _facts_of_event(event, frame, structure):
            if frame.last_line not in structure.in_loops:
                breaks = True
            facts.append(
                Fact(
                    **fields,
                    line=frame.last_line or event.line,
                    is_new_line=breaks,
                    depth=event.depth,
                    event=index,
                )
            )
            breaks = False
        if event.kind is EventKind.LINE:
            breaks = breaks or event.line in structure.loop_headers
            frame.last_line = event.line
    return facts


def _facts_of_event(
    event: Event, frame: _Frame, structure: Structure
) -> Iterator[dict]:
    """The fields of each fact that the event decides."""
    working, found = "", structure.workings.get(frame.last_line)
    if found is not None:
        working = found.render(frame.values)
    if event.kind is EventKind.CALL:
        yield {"kind": FactKind.CALL, "name": event.function, "value": ""}
    for name, value in _find_assignments(event, frame, structure):
        grown = _find_appended(frame.values.get(name), value)
        frame.values[name] = value
        yield {
            "kind": FactKind.SET if grown is None else FactKind.APPEND,
            "name": name,
            "value": value if grown is None else grown,
            "after": value,
            "working": working if grown is None else "",
        }
    body = structure.branch_bodies.get(frame.last_line)
    if event.kind is EventKind.LINE and body is not None:
        yield {
            "kind": FactKind.BRANCH,
            "name": "",
            "value": "yes" if event.line in body else "no",
            "working": working,
            "expression": found.source if found is not None else "",
        }
    elif event.kind is EventKind.RETURN and event.depth > 0:
        value = event.value or "None"
        yield {"kind": FactKind.RETURN, "name": event.function, "value": value}
    elif event.kind is EventKind.EXCEPTION:
        value = event.value or ""
        yield {"kind": FactKind.RAISE, "name": event.function, "value": value}


def _find_assignments(
    event: Event, frame: _Frame, structure: Structure
) -> Iterator[tuple[str, str]]:
    """The variables that the last line set, with their text.

    A trace holds what changed. A line that sets a variable to the value that it had is
    told too: whoever follows the program says "t is 10" after ``t += 0``.
    """
    yield from event.changed.items()
    body = structure.loop_bodies.get(frame.last_line)
    is_left = body is not None and event.line not in body
    if event.kind is EventKind.LINE and not is_left:
        for name in structure.assigned.get(frame.last_line, ()):
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
