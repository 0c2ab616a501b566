"""A trace as plain lines, without a word of explanation."""

import re

from simex.traces.trace import Event, EventKind, Trace

# Python's line ends; `str.splitlines` knows more, such as form feeds.
_LINE_END = re.compile("\r\n|\r|\n")

Line = tuple[str, str]  # what stands before the value, and the value


def make_raw_lines(trace: Trace) -> list[Line]:
    """The lines of a raw dump, as the paper shows traces to its rewriter.

    Values stand where they change, before the line of code that runs next::

        <global> x=4
        <code> 4 if x < 5:
    """
    source = _LINE_END.split(trace.source)
    lines: list[Line] = []
    for event in trace.events:
        tag = "<local>" if event.depth else "<global>"
        lines += [(f"{tag} {name}=", value) for name, value in event.changed.items()]
        lines.append(_render_event(event, source))
    return lines


def _render_event(event: Event, source: list[str]) -> Line:
    match event.kind:
        case EventKind.LINE:
            code = source[event.line - 1] if event.line <= len(source) else ""
            return "<code> ", f"{event.line} {code.strip()}"
        case EventKind.CALL:
            return "<call> ", event.function
        case EventKind.RETURN:
            return "<return> ", event.value or "None"
        case EventKind.EXCEPTION:
            return "<raise> ", (event.value or "").replace("\n", " ")
        case EventKind.STDOUT:
            return "<print> ", repr(event.value or "")
