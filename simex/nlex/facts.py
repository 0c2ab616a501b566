"""The facts of a trace: what may truly be said of a run, in the order it happened.

Rewriters render facts; the grounding check looks an explanation's statements up in
them. Both therefore mean the same thing by "x became 4".
"""

import ast
import dataclasses
import enum
from collections.abc import Iterator

from simex.nlex.working import render_working
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
    working: str = ""
    """The expression that was worked out, its variables replaced by their values:
    "3 + 4" for ``t += x``. Empty where it would say no more than the value."""


@dataclasses.dataclass
class _Frame:
    """What is known of one frame while its events go by."""

    values: dict[str, str]
    last_line: int


@dataclasses.dataclass(frozen=True)
class _Structure:
    """Where the branches and loops of a source stand, by line number."""

    branch_bodies: dict[int, range]  # header line of an `if` -> lines of its body
    loop_bodies: dict[int, range]  # header line of a loop -> lines of its body
    assigned: dict[int, tuple[str, ...]]  # line -> names that it assigns when it runs
    expressions: dict[int, ast.expr]  # line -> what it works out
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
    line = frame.last_line or event.line
    working = render_working(structure.expressions.get(frame.last_line), frame.values)

    def fact(kind: FactKind, name: str, value: str) -> Fact:
        shown = working if kind in (FactKind.SET, FactKind.BRANCH) else ""
        return Fact(
            kind=kind,
            name=name,
            value=value,
            line=line,
            is_new_line=False,
            working=shown,
        )

    if event.kind is EventKind.CALL:
        yield fact(FactKind.CALL, event.function, "")
    for name, value in _find_assignments(event, frame, structure):
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


def _find_assignments(
    event: Event, frame: _Frame, structure: _Structure
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


def _read_structure(source: str) -> _Structure:
    branch_bodies: dict[int, range] = {}
    loop_bodies: dict[int, range] = {}
    assigned: dict[int, tuple[str, ...]] = {}
    expressions: dict[int, ast.expr] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and node.body[0].lineno > node.lineno:
            branch_bodies[node.lineno] = _lines_of(node.body)
            expressions[node.lineno] = node.test
        elif isinstance(node, ast.For | ast.While | ast.AsyncFor):
            loop_bodies[node.lineno] = _lines_of(node.body)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.For):
            assigned[node.lineno] = tuple(_names_of(node))
        if isinstance(node, ast.Assign) and len(assigned[node.lineno]) == 1:
            expressions[node.lineno] = node.value
        elif isinstance(node, ast.AugAssign):
            target = ast.parse(ast.unparse(node.target), mode="eval").body
            expressions[node.lineno] = ast.BinOp(target, node.op, node.value)
    inside = {line for body in loop_bodies.values() for line in body}
    headers = frozenset(loop_bodies)
    return _Structure(
        branch_bodies=branch_bodies,
        loop_bodies=loop_bodies,
        assigned=assigned,
        expressions=expressions,
        loop_headers=headers,
        loop_lines=frozenset(inside - headers),
    )


def _lines_of(body: list[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1)


def _names_of(node: ast.Assign | ast.AugAssign | ast.For) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        yield from (part.id for part in parts if isinstance(part, ast.Name))
