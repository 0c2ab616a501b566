"""The loops of a run: how often each went round, and which events belong to which turn."""

import dataclasses

from simex.nlex.structure import Structure, read_structure
from simex.traces.trace import Event, EventKind, Trace


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopRun:
    """One loop from its entry to its end.

    Example: ``for x in [4, 7]: ...`` on line 3 gives ``num_iterations == 2``; the facts
    of the first are those of the events ``starts[0] <= event < starts[1]``.
    """

    line: int  # of the header
    depth: int
    entry: int  # index of the event at which the header is reached
    starts: tuple[int, ...]  # of each iteration, its first event in the body
    end: int  # the first event after the loop, or the number of events

    @property
    def first(self) -> int:
        """The event of its first iteration; of its end where there is none.

        What its header calls runs between `entry` and this.
        """
        return self.starts[0] if self.starts else self.end

    @property
    def num_iterations(self) -> int:
        return len(self.starts)

    def end_of(self, number: int) -> int:
        """The first event after iteration `number` (from 1)."""
        return self.starts[number] if number < len(self.starts) else self.end + 1


@dataclasses.dataclass
class _Open:
    line: int
    entry: int
    starts: list[int] = dataclasses.field(default_factory=list)
    is_at_header: bool = True


@dataclasses.dataclass
class _Frame:
    depth: int
    loops: list[_Open] = dataclasses.field(default_factory=list)


def collect_loops(trace: Trace) -> list[LoopRun]:
    """All loops that a run entered, in the order of their first iterations.

    Left out are loops whose body stands on a line of its header, since a trace by lines
    does not show how often they turn, and loops with a ``yield`` or ``await``, since
    nothing shows which of them goes on (`Structure.counted_loops`).
    """
    structure = read_structure(trace.source)
    found: list[LoopRun] = []
    if not structure.counted_loops:
        return found
    frames = [_Frame(0)]
    for index, event in enumerate(trace.events):
        # What was called before from the same line is over when a new call begins.
        is_call = event.kind is EventKind.CALL
        while len(frames) > event.depth + (0 if is_call else 1):
            _close(frames.pop(), 0, index, found)
        if is_call:
            frames.append(_Frame(event.depth))
        frame = frames[-1]
        # A lambda in the header of a loop stands on its line and is no loop.
        if event.kind is EventKind.LINE and event.function != "<lambda>":
            _follow(frame, event, index, structure, found)
        elif event.kind is EventKind.RETURN:
            _close(frame, 0, index, found)
    while frames:
        _close(frames.pop(), 0, len(trace.events), found)
    return sorted(found, key=lambda loop: (loop.first, loop.entry))


def _follow(
    frame: _Frame,
    event: Event,
    index: int,
    structure: Structure,
    found: list[LoopRun],
) -> None:
    line = structure.first_lines.get(event.line, event.line)
    for level, loop in enumerate(frame.loops):
        if line == loop.line:
            _close(frame, level + 1, index, found)
            loop.is_at_header = True
            return
        if line not in structure.loop_bodies[loop.line]:
            _close(frame, level, index, found)
            break
        if loop.is_at_header:
            loop.is_at_header = False
            loop.starts.append(index)
    if line in structure.counted_loops:
        frame.loops.append(_Open(line, index))


def _close(frame: _Frame, level: int, index: int, found: list[LoopRun]) -> None:
    """Ends the loops of `frame` from `level` inwards."""
    for loop in frame.loops[level:]:
        found.append(
            LoopRun(
                line=loop.line,
                depth=frame.depth,
                entry=loop.entry,
                starts=tuple(loop.starts),
                end=index,
            )
        )
    del frame.loops[level:]
