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
        "is_lost": trace.is_lost,
        "python_version": trace.python_version,
        "events": [
            [e.kind.value, e.line, e.function, e.depth, e.changed, e.value]
            + [e.stdout_length]
            + ([e.changed_globals] if e.changed_globals else [])
            for e in trace.events
        ],
    }


def from_record(record: Mapping[str, Any]) -> Trace:
    """The inverse of `to_record`. Records without the newer fields are read too."""
    return Trace(
        source=record["source"],
        stdin=record["stdin"],
        stdout=record["stdout"],
        is_truncated=record["is_truncated"],
        is_lost=record.get("is_lost", False),
        python_version=record["python_version"],
        events=tuple(_parse_event(*fields) for fields in record["events"]),
    )


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event for people and for other programs, without fields that say nothing."""
    found: dict[str, Any] = {
        "event": event.kind.value,
        "line": event.line,
        "function": event.function,
        "depth": event.depth,
    }
    if event.changed:
        found["changed"] = event.changed
    if event.changed_globals:
        found["changed_globals"] = event.changed_globals
    if event.value is not None:
        found["value"] = event.value
    return found


def _parse_event(
    kind: str,
    line: int,
    function: str,
    depth: int,
    changed: dict[str, str],
    value: str | None,
    stdout_length: int,
    changed_globals: dict[str, str] | None = None,
) -> Event:
    return Event(
        kind=EventKind(kind),
        line=line,
        function=function,
        depth=depth,
        changed=changed,
        value=value,
        stdout_length=stdout_length,
        changed_globals=changed_globals or {},
    )
