"""What a tracer writes: one line of JSON an event, into memory the driver shares.

Runs inside the box, in the program's own process: standard library only. The record is
therefore as untrusted as what the program prints; the driver parses it as such.

An event is an array `[kind, line, function, depth, [name, text, …], value,
stdout_bytes]`, kind one of the numbers below, and an eighth element `[name, text, …]`
where a function changed variables of the module; then comes one closing object.
"""

import json
import sys
import types
from collections.abc import Callable
from typing import Any

from simex.sandbox import protocol
from simex.traces import values
from simex.traces.codes import CodeFacts
from simex.traces.variables import FrameVariables, ModuleVariables, Names
from simex.traces.watch import Watches

LINE, CALL, RETURN, EXCEPTION, STDOUT = range(5)
_CLOSING_BYTES = 256

_dict_items, _len, _type, _str, _id = dict.items, len, type, str, id
_OSError, _ValueError, _RuntimeError = OSError, ValueError, RuntimeError
_RecursionError = RecursionError
_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii
# Nothing of `json` is called later on: it is Python, which a program may change.
_JSON_BOOLS, _VERSION = ("false", "true"), json.dumps(sys.version.split()[0])
_exception_arguments = BaseException.__dict__["args"].__get__
_BaseException, _issubclass = BaseException, issubclass
_render_value = values.render_value


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

    __slots__ = ("depth", "facts", "line", "middle", "raised_at", "variables")

    def __init__(
        self, facts: CodeFacts, depth: int, variables: FrameVariables | None, line: int
    ) -> None:
        self.facts = facts
        self.depth = depth
        self.variables = variables  # None: the module
        self.line = line  # the line that runs
        self.raised_at = -1  # the offset at which this line raised an exception
        middle = facts.middles.get(depth)
        if middle is None:
            middle = f",{_quote(facts.code.co_name)},{depth},["
            facts.middles[depth] = middle
        self.middle = middle


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
        self._is_lost = False
        self._watches, self._names = Watches(), Names()
        self._resumable: dict[int, FrameVariables] = {}
        self._entered: list[Entered] = []
        self._module = ModuleVariables(self._watches, self._names, {})
        self._stdout_position = 0
        self._epoch = 0  # counts the lines that may have changed an object
        self._epoch_of_module = -1
        stdout: Any = sys.stdout
        stdout.reconfigure(write_through=True)  # else text waits above the buffer
        self._tell = stdout.buffer.tell

    def start(self, namespace: dict[str, Any]) -> None:
        values.set_main_name(namespace["__name__"])
        self._module = ModuleVariables(self._watches, self._names, namespace)

    def enter(self, frame: types.FrameType, facts: CodeFacts) -> Entered:
        """A frame is entered, or goes on: a CALL, unless it is the module."""
        depth, line = _len(self._entered), frame.f_lineno
        if facts.is_module:
            entered = Entered(facts, depth, None, line)
        else:
            if facts.is_resumable:
                variables = self._resumed_variables(frame, facts.code)
            else:
                variables = FrameVariables(self._watches, self._names)
            entered = Entered(facts, depth, variables, line)
            self.record(CALL, frame, entered, line)
        self._entered.append(entered)
        return entered

    @property
    def running(self) -> Entered | None:
        """The frame that runs, if it is one of the program's."""
        return self._entered[-1] if self._entered else None

    def leave(self, entered: Entered) -> None:
        """This frame, and all that were entered in it, are left."""
        del self._entered[entered.depth :]

    def unwind(self, entered: Entered) -> None:
        """An exception leaves this frame: no event, but what its line did counts."""
        if entered.line in entered.facts.changing and not self.is_stopped:
            self._epoch += 1
            if entered.line in entered.facts.calling:
                self._find_position(entered)
        self.leave(entered)

    def _resumed_variables(
        self, frame: types.FrameType, code: types.CodeType
    ) -> FrameVariables:
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
        position, variables = self._stdout_position, entered.variables
        # What ran since the last event is the running frame's line: in a CALL, the
        # caller's, and nobody's when the main thread enters the module.
        runner = entered
        if kind == CALL and self._entered:
            runner = self._entered[-1]
        if runner.line in runner.facts.changing:
            self._epoch += 1
            if runner.line in runner.facts.calling:
                position = self._find_position(runner)
        epoch = self._epoch
        try:
            if variables is None:
                changes = self._module.changes_in_module(epoch)
                text = f"[{kind},{line}{entered.middle}{changes}],{value},{position}]"
            else:
                local: Any = frame.f_locals
                items = _dict_items(local) if _type(local) is dict else local.items()
                changes = variables.changes(items, epoch)
                text = f"[{kind},{line}{entered.middle}{changes}],{value},{position}]"
                if epoch != self._epoch_of_module:
                    self._epoch_of_module = epoch
                    others = self._module.changes_in_function(epoch)
                    if others:
                        text = f"{text[:-1]},[{others}]]"
        except _RecursionError:  # no room for us: its own RecursionError is near
            self._is_lost = True
            return
        except _RuntimeError:  # another thread changed a dict under our eyes
            text = f"[{kind},{line}{entered.middle}],{value},{position}]"
        self._add(text)

    def _find_position(self, runner: Entered) -> int:
        """The position of stdout; a STDOUT if the line that runs printed."""
        try:
            position = self._tell()
        except (_OSError, _ValueError):
            return self._stdout_position  # closed: nothing more can be printed
        if position != self._stdout_position:
            self._stdout_position = position
            self._add(f"[{STDOUT},{runner.line}{runner.middle}],null,{position}]")
        return position

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

    def finish(self, *, is_truncated: bool, is_lost: bool) -> None:
        """Write the whole trace. Only the first call counts."""
        if self.is_stopped:
            return
        self.is_stopped = True
        truncated = _JSON_BOOLS[is_truncated]
        lost = _JSON_BOOLS[is_lost or self._is_lost]
        self._parts.append(
            f'{{"is_truncated":{truncated},"is_lost":{lost},"python":{_VERSION}}}'
        )
        data = "\n".join(self._parts).encode("ascii")
        start = protocol.TRACE_HEADER.size
        self._room[start : start + _len(data)] = data
        self._room[:start] = protocol.TRACE_HEADER.pack(_len(data))
        self._parts.clear()
