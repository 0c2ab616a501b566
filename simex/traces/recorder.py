"""What a tracer writes: one line of JSON an event, into memory the driver shares.

Runs inside the box, in the program's own process: standard library only. The record is
therefore as untrusted as what the program prints; the driver parses it as such.

An event is an array `[kind, line, function, depth, [name, text, …], value,
stdout_bytes]`, kind an index of `KINDS`, and an eighth element `[name, text, …]` where
a function changed variables of the module; then comes one closing object.
"""

import json
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from simex.sandbox import protocol
from simex.traces import values
from simex.traces.variables import FrameVariables, ModuleVariables, Names
from simex.traces.watch import Watches

KINDS = ("line", "call", "return", "exception", "stdout")
LINE, CALL, RETURN, EXCEPTION, STDOUT = range(5)
_CLOSING_BYTES = 256
_FLAG_OPTIMIZED, _FLAG_RESUMABLE = 0x1, 0x20 | 0x80 | 0x200
_INLINE_FRAMES = frozenset(("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"))
_MODULE = "<module>"

_dict_items, _len, _type, _str, _id = dict.items, len, type, str, id
_OSError, _ValueError, _RuntimeError = OSError, ValueError, RuntimeError
_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii  # type: ignore[assignment]
_dump = json.JSONEncoder().encode
_exception_arguments = BaseException.__dict__["args"].__get__
_BaseException, _issubclass = BaseException, issubclass
_render_value = values.render_value


def is_told(code: types.CodeType) -> bool:
    """Whether frames of this code of the program have events of their own.

    Functions and the module: class bodies and comprehensions are part of the line that
    holds them, which is also how interpreters from 3.12 on see most comprehensions.
    """
    if code.co_name == _MODULE:
        return True
    return bool(code.co_flags & _FLAG_OPTIMIZED) and code.co_name not in _INLINE_FRAMES


def codes_told(code: types.CodeType, file_name: str) -> Iterator[types.CodeType]:
    """`code` and all code inside it whose frames have events of their own."""
    if code.co_filename == file_name and is_told(code):
        yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_told(constant, file_name)


def describe_exception(error: object) -> str:
    """ "Type: message", without calling any `__str__` of the program."""
    name = values.type_name(error)
    if not _issubclass(_type(error), _BaseException):
        return name
    arguments = _exception_arguments(error)
    if _len(arguments) == 1 and _type(arguments[0]) is _str and name != "KeyError":
        return f"{name}: {arguments[0][: values.MAX_STRING_LENGTH]}"
    texts = [_render_value(argument) for argument in arguments]
    return f"{name}: {', '.join(texts)}" if texts else name


class Entered:
    """A frame that was entered and not yet left."""

    __slots__ = ("code", "depth", "is_unwinding", "line", "middle", "variables")

    def __init__(
        self, code: types.CodeType, depth: int, variables: FrameVariables | None
    ) -> None:
        self.code = code
        self.depth = depth
        self.variables = variables  # None: the module
        self.line = code.co_firstlineno  # the line that runs
        self.middle = f",{_quote(code.co_name)},{depth},["
        self.is_unwinding = False  # by an exception


class Recorder:
    """Writes the events of one run; `stop` is called once, when a cap is reached."""

    def __init__(
        self, *, max_events: int, max_bytes: int, room: Any, stop: Callable[[], None]
    ):
        self._max_events = max_events
        self._max_bytes = max_bytes - _CLOSING_BYTES
        self._room = room  # a writable map of max_bytes after the header
        self._stop = stop
        self._parts: list[str] = []
        self._num_bytes = 0
        self.is_stopped = False  # truncated or over
        self._watches, self._names = Watches(), Names()
        self._resumable: dict[int, FrameVariables] = {}
        self._entered: list[Entered] = []
        self._module = ModuleVariables(self._watches, self._names, {})
        self._stdout_position = 0
        stdout: Any = sys.stdout
        stdout.reconfigure(write_through=True)  # else text waits above the buffer
        self._tell = stdout.buffer.tell

    def start(self, namespace: dict[str, Any]) -> None:
        values.set_main_name(namespace["__name__"])
        self._module = ModuleVariables(self._watches, self._names, namespace)

    def enter(self, frame: types.FrameType, code: types.CodeType) -> Entered:
        """A frame is entered, or goes on: a CALL, unless it is the module."""
        is_module = code.co_name is _MODULE or code.co_name == _MODULE
        variables = None if is_module else self._variables_of(frame, code)
        entered = Entered(code, _len(self._entered), variables)
        if not is_module:
            entered.line = frame.f_lineno
            self.record(CALL, frame, entered, entered.line)
        self._entered.append(entered)
        return entered

    @property
    def running(self) -> Entered | None:
        """The frame that runs, if it is one of the program's."""
        return self._entered[-1] if self._entered else None

    def leave(self, entered: Entered) -> None:
        """This frame, and all that were entered in it, are left."""
        del self._entered[entered.depth :]

    def _variables_of(
        self, frame: types.FrameType, code: types.CodeType
    ) -> FrameVariables:
        if not code.co_flags & _FLAG_RESUMABLE:
            return FrameVariables(self._watches, self._names)
        # A generator is left and entered again; a new one may get the id of an old.
        key = _id(frame)
        if frame.f_lineno == code.co_firstlineno or key not in self._resumable:
            self._resumable[key] = FrameVariables(self._watches, self._names)
        return self._resumable[key]

    def record(
        self,
        kind: int,
        frame: types.FrameType,
        entered: Entered,
        line: int,
        value: str = "null",
    ) -> None:
        """Add one event; `value` is JSON."""
        if self.is_stopped:
            return
        try:
            position = self._tell()
            if position != self._stdout_position:
                self._record_stdout(kind, entered, position)
        except (_OSError, _ValueError):
            position = self._stdout_position  # closed: nothing more can be printed
        variables = entered.variables
        try:
            if variables is None:
                text = (
                    f"[{kind},{line}{entered.middle}{self._module.changes_in_module()}"
                    f"],{value},{position}]"
                )
            else:
                local: Any = frame.f_locals
                items = _dict_items(local) if _type(local) is dict else local.items()
                text = (
                    f"[{kind},{line}{entered.middle}{variables.changes(items)}"
                    f"],{value},{position}"
                )
                others = self._module.changes_in_function()
                text += f",[{others}]]" if others else "]"
        except _RuntimeError:  # another thread changed a dict under our eyes
            text = f"[{kind},{line}{entered.middle}],{value},{position}]"
        self._add(text)

    def _add(self, text: str) -> None:
        if self.is_stopped:
            return
        self._num_bytes += _len(text) + 1
        if _len(self._parts) >= self._max_events or self._num_bytes > self._max_bytes:
            self._stop()
            # Written now: a program that never ends leaves its trace all the same.
            self.finish(is_truncated=True, is_lost=False)
            return
        self._parts.append(text)

    def _record_stdout(self, kind: int, entered: Entered, position: int) -> None:
        """Something was printed by the line that runs: in a CALL, the caller's."""
        self._stdout_position = position
        writer = entered
        if kind == CALL and self._entered:
            writer = self._entered[-1]
        self._add(f"[{STDOUT},{writer.line}{writer.middle}],null,{position}]")

    def finish(self, *, is_truncated: bool, is_lost: bool) -> None:
        """Write the whole trace. Only the first call counts."""
        if self.is_stopped:
            return
        self.is_stopped = True
        closing = {
            "is_truncated": is_truncated,
            "is_lost": is_lost,
            "python": sys.version.split()[0],
        }
        self._parts.append(_dump(closing))
        data = "\n".join(self._parts).encode("ascii")
        start = protocol.TRACE_HEADER.size
        self._room[start : start + _len(data)] = data
        self._room[:start] = protocol.TRACE_HEADER.pack(_len(data))
        self._parts.clear()
