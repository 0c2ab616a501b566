"""Traces as JSON records, and back."""

from collections.abc import Mapping
from typing import Any

from simex.traces.trace import Event, EventKind, Trace


def to_record(trace: Trace) -> dict[str, Any]:
    """A JSON-ready dict from which `from_record` makes an equal trace."""
    return {
        "source": trace.source,
        "stdin": trace.stdin,
        "stdout": trace.stdout,
        "is_truncated": trace.is_truncated,
        "python_version": trace.python_version,
        "events": [
            [e.kind.value, e.line, e.function, e.depth, e.changed, e.value]
            + [e.stdout_length]
            for e in trace.events
        ],
    }


def from_record(record: Mapping[str, Any]) -> Trace:
    """The inverse of `to_record`."""
    return Trace(
        source=record["source"],
        stdin=record["stdin"],
        stdout=record["stdout"],
        is_truncated=record["is_truncated"],
        python_version=record["python_version"],
        events=tuple(
            Event(
                kind=EventKind(kind),
                line=line,
                function=function,
                depth=depth,
                changed=changed,
                value=value,
                stdout_length=stdout_length,
            )
            for kind, line, function, depth, changed, value, stdout_length in record[
                "events"
            ]
        ),
    )
