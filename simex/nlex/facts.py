"""The facts of a trace: what may truly be said of a run, in the order it happened.

Rewriters render facts; the grounding check looks an explanation's statements up in
them. Both therefore mean the same thing by "x became 4".
"""

import ast
import dataclasses
import enum
from collections.abc import Iterator

from simex.traces.trace import Event, EventKind, Trace


class FactKind(enum.Enum):
    SET = "set"  # a variable got a value
    APPEND = "append"  # a list grew by one element at its end
    BRANCH = "branch"  # a condition held ("yes") or did not ("no")
    CALL = "call"  # a function of the program was entered
    RETURN = "return"  # ... and left with a value
    RAISE = "raise"  # an exception passed through a frame


@dataclasses.dataclass(frozen=True, kw_only=True)
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


@dataclasses.dataclass
class _Frame:
    """What is known of one frame while its events go by."""

    values: dict[str, str]
    last_line: int


@dataclasses.dataclass(frozen=True)
class _Structure:
    """Where the branches and loops of a source stand, by line number."""

    branch_bodies: dict[int, range]  # header line of an `if` -> lines of its body
    loop_headers: frozenset[int]
    loop_lines: frozenset[int]  # lines inside a loop, headers not counted


def collect_facts(trace: Trace) -> list[Fact]:
    """All facts of `trace`, in order."""
    structure = _read_structure(trace.source)
    facts: list[Fact] = []
    frames: list[_Frame] = [_Frame(values={}, last_line=0)]
    breaks = True  # does the next fact begin a line?
    for event in trace.events:
        if event.kind is EventKind.CALL:
            frames.append(_Frame(values={}, last_line=event.line))
        # A frame that an exception left has no RETURN of its own.
        del frames[event.depth + 1 :]
        frame = frames[-1]
        for fact in _facts_of_event(event, frame, structure):
            if frame.last_line not in structure.loop_lines | structure.loop_headers:
                breaks = True
            facts.append(dataclasses.replace(fact, is_new_line=breaks))
            breaks = False
        if event.kind is EventKind.LINE:
            breaks = breaks or event.line in structure.loop_headers
            frame.last_line = event.line
    return facts


def _facts_of_event(
    event: Event, frame: _Frame, structure: _Structure
) -> Iterator[Fact]:
    def fact(kind: FactKind, name: str, value: str) -> Fact:
        line = frame.last_line or event.line
        return Fact(kind=kind, name=name, value=value, line=line, is_new_line=False)

    if event.kind is EventKind.CALL:
        yield fact(FactKind.CALL, event.function, "")
    for name, value in event.changed.items():
        grown = _find_appended(frame.values.get(name), value)
        frame.values[name] = value
        if grown is None:
            yield fact(FactKind.SET, name, value)
        else:
            yield fact(FactKind.APPEND, name, grown)
    body = structure.branch_bodies.get(frame.last_line)
    if event.kind is EventKind.LINE and body is not None:
        yield fact(FactKind.BRANCH, "", "yes" if event.line in body else "no")
    elif event.kind is EventKind.RETURN and event.depth > 0:
        yield fact(FactKind.RETURN, event.function, event.value or "None")
    elif event.kind is EventKind.EXCEPTION:
        yield fact(FactKind.RAISE, event.function, event.value or "")


def _find_appended(before: str | None, after: str) -> str | None:
    """The element that made list text `before` into `after`, if one append did."""
    if before is None or not (before.startswith("[") and after.endswith("]")):
        return None
    stem = before[:-1] + (", " if before != "[]" else "")
    if not after.startswith(stem) or len(after) <= len(stem) + 1:
        return None
    element = after[len(stem) : -1]
    return None if "," in element or "…" in element else element


def _read_structure(source: str) -> _Structure:
    branch_bodies: dict[int, range] = {}
    headers: set[int] = set()
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If):
            first, last = node.body[0].lineno, node.body[-1].end_lineno
            if first > node.lineno and last is not None:
                branch_bodies[node.lineno] = range(first, last + 1)
        elif isinstance(node, ast.For | ast.While | ast.AsyncFor):
            headers.add(node.lineno)
            inside.update(range(node.lineno + 1, (node.end_lineno or 0) + 1))
    return _Structure(
        branch_bodies=branch_bodies,
        loop_headers=frozenset(headers),
        loop_lines=frozenset(inside - headers),
    )
