"""From what a tracer wrote to a trace, trusting none of it.

The text comes from the program's own process: a program may have written anything
there, and gets a ValueError for all that `recorder` would not have written.
"""

import bisect
import json
from collections.abc import Callable
from typing import Any

from simex.sandbox.outcome import RunRequest
from simex.traces.trace import Event, EventKind, Trace

# By the numbers that `recorder` gives them.
_KINDS = (
    EventKind.LINE,
    EventKind.CALL,
    EventKind.RETURN,
    EventKind.EXCEPTION,
    EventKind.STDOUT,
)
_CLOSING_TYPES = {"is_truncated": bool, "is_lost": bool, "python": str}
MAX_PRINTED_LENGTH = 1000


def parse_trace(data: bytes, *, request: RunRequest, stdout: bytes) -> Trace:
    """The trace in `data`; `stdout` is what that run printed.

    No file can hold half of a surrogate pair, so a lone one is spelled out, as Python
    does on stderr: ``\\ud800``, six characters.

    Raises ValueError.
    """
    try:
        text = stdout.decode("utf-8")
        # One call for all lines: thousands of small ones take twice as long.
        lines = json.loads(f"[{data.decode('ascii').replace(chr(10), ',')}]")
        if b"\\ud" in data.lower():
            lines = _spell_surrogates(lines)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    closing = lines.pop() if lines else None
    if not isinstance(closing, dict) or not _is_closing(closing):
        raise ValueError("it has no end")
    if len(lines) > request.max_events:
        raise ValueError("it has more events than were allowed")
    return Trace(
        source=request.source,
        stdin=request.stdin,
        stdout=text,
        events=_parse_events(lines, text, _make_character_counter(text, stdout)),
        is_truncated=closing["is_truncated"],
        python_version=closing["python"],
        is_lost=closing["is_lost"],
    )


def _spell_surrogates(found: Any) -> Any:
    """`found`, as JSON gave it, with texts that UTF-8 can write."""
    if type(found) is str:
        return found.encode("utf-8", "backslashreplace").decode("utf-8")
    if type(found) is list:
        return [_spell_surrogates(one) for one in found]
    if type(found) is dict:
        return {key: _spell_surrogates(one) for key, one in found.items()}
    return found


def _is_closing(record: dict[str, Any]) -> bool:
    return {k: type(v) for k, v in record.items()} == _CLOSING_TYPES


def _parse_events(
    lines: list[Any], text: str, count_characters: Callable[[int], int]
) -> tuple[Event, ...]:
    events: list[Event] = []
    known_bytes, known_length = -1, 0  # most events print nothing
    for line in lines:
        if type(line) is not list or not 7 <= len(line) <= 8:
            raise ValueError("an event has the wrong form")
        kind, number, function, depth, flat, value, num_bytes = line[:7]
        if not (
            type(kind) is type(number) is type(depth) is type(num_bytes) is int
            and 0 <= kind < len(_KINDS)
            and number >= 0
            and depth >= 0
            and num_bytes >= 0
            and type(function) is str
            and (value is None or type(value) is str)
        ):
            raise ValueError("an event has the wrong form")
        before = known_length
        if num_bytes != known_bytes:
            known_bytes, known_length = num_bytes, count_characters(num_bytes)
        if _KINDS[kind] is EventKind.STDOUT:
            value = _cut(text[before:known_length])
        # Thousands of events a trace: a frozen dataclass's own constructor takes as
        # long as everything else here together.
        event = object.__new__(Event)
        vars(event).update(
            kind=_KINDS[kind],
            line=number,
            function=function,
            depth=depth,
            changed=_pair(flat) if flat != [] else {},
            value=value,
            stdout_length=known_length,
            changed_globals=_pair(line[7]) if len(line) == 8 else {},
        )
        events.append(event)
    return tuple(events)


def _pair(flat: Any) -> dict[str, str]:
    is_flat = type(flat) is list and len(flat) % 2 == 0
    if not is_flat or not all(type(text) is str for text in flat):
        raise ValueError("an event has the wrong form")
    return dict(zip(flat[::2], flat[1::2]))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_PRINTED_LENGTH else text[:MAX_PRINTED_LENGTH] + "…"


def _make_character_counter(text: str, stdout: bytes) -> Callable[[int], int]:
    """From a number of bytes of stdout to the number of characters in them."""
    if len(text) == len(stdout):
        return lambda num_bytes: min(num_bytes, len(text))
    ends, position = [], 0
    for character in text:
        position += len(character.encode("utf-8"))
        ends.append(position)
    return lambda num_bytes: bisect.bisect_right(ends, num_bytes)
