"""Record what a program does, line by line, into memory the driver shares.

Runs inside the box, in the program's own process: standard library only. The record is
therefore as untrusted as what the program prints; the driver parses it as such.

One JSON array a line: `[kind, line, function, depth, [name, text, …], value,
stdout_bytes]`, kind an index of `KINDS`; then one closing object. Only frames of the
program's own source count, and of those functions and the module: class bodies and
comprehensions are part of the line that holds them, which is also how interpreters
from 3.12 on see most comprehensions.
"""

import _json
import gc
import json
import sys
import types
from collections.abc import Callable
from typing import Any

from simex.sandbox import protocol
from simex.traces import values

KINDS = ("line", "call", "return", "exception")
_LINE, _CALL, _RETURN, _EXCEPTION = range(4)
_FLAG_OPTIMIZED, _FLAG_RESUMABLE = 0x1, 0x20 | 0x80 | 0x200
_INLINE_FRAMES = frozenset(("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"))
_CLOSING_BYTES = 256

_dict_items, _len, _type, _str, _id = dict.items, len, type, str, id
_OSError, _ValueError = OSError, ValueError
_quote: Callable[[str], str] = _json.encode_basestring_ascii
_settrace, _gettrace = sys.settrace, sys.gettrace
_exception_arguments = BaseException.__dict__["args"].__get__
_BaseException = BaseException
_MISSING = object()
_is_state, _render_value = values.is_state, values.render_value
# Same object, nothing new. Nobody can notice that these live a little longer.
_LASTING_TYPES = values.FROZEN_TYPES | {id(types.ModuleType), id(type)}

LocalTrace = Callable[[types.FrameType, str, Any], Any]


class _Variables:
    """The variables of one frame: what changed since it was looked at last."""

    __slots__ = ("_frozen", "_texts")

    def __init__(self) -> None:
        self._frozen: dict[str, object] = {}  # to be skipped fast while the same
        self._texts: dict[str, str] = {}

    def changes(self, frame: types.FrameType) -> str:
        """`"name","text",…` as JSON, without brackets."""
        local: Any = frame.f_locals
        items = _dict_items(local) if _type(local) is dict else local.items()
        frozen, texts, out = self._frozen, self._texts, ""
        for name, value in items:
            if _type(name) is not _str or frozen.get(name, _MISSING) is value:
                continue
            kind = _id(_type(value))
            if kind in _LASTING_TYPES:
                frozen[name] = value
            else:
                frozen.pop(name, None)
            if name[:2] == "__" or name[:1] == "." or not _is_state(value):
                continue
            text = _render_value(value)
            if texts.get(name) != text:
                texts[name] = text
                out += f",{_quote(name)},{_quote(text)}"
        return out[1:]


def _describe_exception(error: object) -> str:
    """ "Type: message", without calling any `__str__` of the program."""
    name = _render_value(error)[1:].partition(" ")[0].rstrip(">")
    if not issubclass(_type(error), _BaseException):
        return name
    arguments = _exception_arguments(error)
    if _len(arguments) == 1 and _type(arguments[0]) is _str and name != "KeyError":
        return f"{name}: {arguments[0][: values.MAX_STRING_LENGTH]}"
    texts = [_render_value(argument) for argument in arguments]
    return f"{name}: {', '.join(texts)}" if texts else name


class Tracer:
    """Traces one program in this process; `run` takes the place of `exec`."""

    def __init__(self, *, file_name: str, max_events: int, max_bytes: int, room: Any):
        self._file_name = file_name
        self._max_events = max_events
        self._max_bytes = max_bytes - _CLOSING_BYTES
        self._room = room  # a writable map of max_bytes after the header
        self._parts: list[str] = []
        self._num_bytes = 0
        self._depth = -1
        self._is_truncated = False
        self._is_stopped = False  # truncated or over
        self._resumable: dict[int, _Variables] = {}
        self._names: dict[int, str] = {}
        self._stdout_position = 0
        stdout: Any = sys.stdout
        stdout.reconfigure(write_through=True)  # else text waits above the buffer
        self._tell = stdout.buffer.tell

    def run(self, code: types.CodeType, namespace: dict[str, Any]) -> None:
        execute, settrace = exec, _settrace
        self._file_name = code.co_filename
        values.set_main_name(namespace["__name__"])
        on_call = self._on_call
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)  # this very frame
        try:
            settrace(on_call)
            execute(code, namespace)
        finally:
            is_lost = not self._is_stopped and _gettrace() is not on_call
            settrace(None)
            self._write(is_lost)

    def _on_call(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if self._is_stopped:
            return None
        code = frame.f_code
        if code.co_filename is not self._file_name:
            return None
        is_module = code.co_name == "<module>"
        is_function = code.co_flags & _FLAG_OPTIMIZED
        if not is_module and (not is_function or code.co_name in _INLINE_FRAMES):
            return None
        variables = self._variables_of(frame, code)
        self._depth += 1
        name = _quote(code.co_name)
        if not is_module:
            self._record(_CALL, frame, name, variables, "null")
        return self._make_local_trace(name, variables)

    def _variables_of(self, frame: types.FrameType, code: types.CodeType) -> _Variables:
        if not code.co_flags & _FLAG_RESUMABLE:
            return _Variables()
        # A generator is left and entered again; a new one may get the id of an old.
        key = _id(frame)
        if frame.f_lineno == code.co_firstlineno or key not in self._resumable:
            self._resumable[key] = _Variables()
        return self._resumable[key]

    def _make_local_trace(self, name: str, variables: _Variables) -> LocalTrace:
        record = self._record
        is_unwinding = False

        def local_trace(frame: types.FrameType, event: str, arg: Any) -> Any:
            nonlocal is_unwinding
            if event == "line":
                is_unwinding = False
                record(_LINE, frame, name, variables, "null")
            elif event == "exception":
                is_unwinding = True
                value = _quote(_describe_exception(arg[1]))
                record(_EXCEPTION, frame, name, variables, value)
            elif event == "return":
                # A frame that an exception leaves returns nothing.
                if not is_unwinding:
                    value = _quote(_render_value(arg))
                    record(_RETURN, frame, name, variables, value)
                self._depth -= 1
            return local_trace

        return local_trace

    def _record(
        self,
        kind: int,
        frame: types.FrameType,
        name: str,
        variables: _Variables,
        value: str,
    ) -> None:
        if self._is_stopped:
            return
        try:
            self._stdout_position = self._tell()
        except (_OSError, _ValueError):
            pass  # the program closed it; nothing more can be printed
        text = (
            f"[{kind},{frame.f_lineno},{name},{self._depth},"
            f"[{variables.changes(frame)}],{value},{self._stdout_position}]"
        )
        self._num_bytes += _len(text) + 1
        if _len(self._parts) >= self._max_events or self._num_bytes > self._max_bytes:
            self._is_truncated = self._is_stopped = True
            _settrace(None)
            return
        self._parts.append(text)

    def _write(self, is_lost: bool) -> None:
        self._is_stopped = True
        closing = {
            "is_truncated": self._is_truncated,
            "is_lost": is_lost,
            "python": sys.version.split()[0],
        }
        self._parts.append(_dump(closing))
        data = "\n".join(self._parts).encode("ascii")
        start = protocol.TRACE_HEADER.size
        self._room[start : start + _len(data)] = data
        self._room[:start] = protocol.TRACE_HEADER.pack(_len(data))


_dump = json.JSONEncoder().encode


def warm_up() -> None:
    """Run every path once in the fork server, so that no child pays for it."""
    source = "def f(x):\n    return [x, {x: (1, 'a')}]\ny = f(1)\n"
    room = bytearray(1 << 16)
    tracer = Tracer(
        file_name="sample", max_events=100, max_bytes=1 << 15, room=memoryview(room)
    )
    tracer.run(compile(source, "sample", "exec"), {"__name__": "sample"})
    sys.setrecursionlimit(1000)
    sys.stdout.reconfigure(write_through=False)  # type: ignore[union-attr]
    gc.collect()
