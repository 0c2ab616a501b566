"""Events by `sys.monitoring`, for interpreters from 3.12 on.

Runs inside the box: standard library only. Only code of the program is instrumented, so
the standard library runs at full speed; exceptions alone are seen from everywhere. The
program's own use of `sys.settrace` does not disturb it.
"""

import json
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from simex.traces import recorder, values
from simex.traces.codes import CodeFacts, collect_facts

_monitoring: Any = getattr(sys, "monitoring", None)
_TOOL, _TOOL_NAME = 4, "simex"
_get_frame, _get_thread, _id = sys._getframe, threading.get_ident, id
_LINE, _RETURN, _EXCEPTION = recorder.LINE, recorder.RETURN, recorder.EXCEPTION
_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii
_describe_exception, _render_value = recorder.describe_exception, values.render_value


class MonitoringTracer:
    """Traces one program in this process; `run` takes the place of `exec`."""

    def __init__(self, *, file_name: str, max_events: int, max_bytes: int, room: Any):
        self._recorder = recorder.Recorder(
            max_events=max_events, max_bytes=max_bytes, room=room, stop=self._stop
        )
        self._file_name = file_name
        self._told: dict[int, CodeFacts] = {}
        self._thread = 0
        events = _monitoring.events
        self._local_events = events.PY_START | events.PY_RESUME | events.LINE
        self._local_events |= events.PY_RETURN | events.PY_YIELD
        self._local_events |= events.STOP_ITERATION  # settrace tells it as well
        self._global_events = events.PY_THROW | events.PY_UNWIND | events.RAISE
        self._callbacks: dict[int, Callable[..., Any]] = {
            events.PY_START: self._on_enter,
            events.PY_RESUME: self._on_enter,
            events.PY_THROW: self._on_throw,
            events.LINE: self._on_line,
            events.PY_RETURN: self._on_return,
            events.PY_YIELD: self._on_return,
            events.RAISE: self._on_raise,
            events.STOP_ITERATION: self._on_raise,
            events.PY_UNWIND: self._on_unwind,
        }

    def run(
        self, code: types.CodeType, namespace: dict[str, Any], *, audits: bool = True
    ) -> None:
        execute, ours = exec, self._recorder
        found = collect_facts(code, self._file_name)
        self._told = {_id(facts.code): facts for facts in found}
        self._thread = _get_thread()
        ours.start(namespace)
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)  # this very frame
        self._switch_on()
        try:
            execute(code, namespace)
        finally:
            if not ours.is_stopped:
                is_lost = self._is_lost()
                self._stop()
                ours.finish(is_truncated=False, is_lost=is_lost)

    def _switch_on(self) -> None:
        _monitoring.use_tool_id(_TOOL, _TOOL_NAME)
        for event, callback in self._callbacks.items():
            _monitoring.register_callback(_TOOL, event, callback)
        for facts in self._told.values():
            _monitoring.set_local_events(_TOOL, facts.code, self._local_events)
        _monitoring.set_events(_TOOL, self._global_events)

    def _is_lost(self) -> bool:
        """Whether the program took away what was switched on. The callbacks last."""
        if _monitoring.get_tool(_TOOL) != _TOOL_NAME:
            return True
        if _monitoring.get_events(_TOOL) != self._global_events:
            return True
        if any(
            _monitoring.get_local_events(_TOOL, facts.code) != self._local_events
            for facts in self._told.values()
        ):
            return True
        return any(
            _monitoring.register_callback(_TOOL, event, None) != callback
            for event, callback in self._callbacks.items()
        )

    def _stop(self) -> None:
        if _monitoring.get_tool(_TOOL) != _TOOL_NAME:
            return
        _monitoring.set_events(_TOOL, 0)
        for facts in self._told.values():
            _monitoring.set_local_events(_TOOL, facts.code, 0)
        for event in self._callbacks:
            _monitoring.register_callback(_TOOL, event, None)
        _monitoring.free_tool_id(_TOOL)

    def _on_enter(self, code: types.CodeType, offset: int) -> None:
        if _get_thread() == self._thread and not self._recorder.is_stopped:
            self._recorder.enter(_get_frame(1), self._told[_id(code)])

    def _on_throw(self, code: types.CodeType, offset: int, error: object) -> None:
        facts = self._told.get(_id(code))
        if facts is not None and _get_thread() == self._thread:
            self._recorder.enter(_get_frame(1), facts)

    def _on_line(self, code: types.CodeType, line: int) -> None:
        entered = self._find(code)
        if entered is not None:
            self._recorder.record(_LINE, _get_frame(1), entered, line)
            entered.line = line

    def _on_return(self, code: types.CodeType, offset: int, value: object) -> None:
        entered = self._find(code)
        if entered is not None:
            frame, text = _get_frame(1), _quote(_render_value(value))
            self._recorder.record(_RETURN, frame, entered, frame.f_lineno, text)
            self._recorder.leave(entered)

    def _on_raise(self, code: types.CodeType, offset: int, error: object) -> None:
        if _id(code) not in self._told:
            return
        entered = self._find(code)
        if entered is not None:
            frame, text = _get_frame(1), _quote(_describe_exception(error))
            self._recorder.record(_EXCEPTION, frame, entered, frame.f_lineno, text)

    def _on_unwind(self, code: types.CodeType, offset: int, error: object) -> None:
        if _id(code) not in self._told:
            return
        entered = self._find(code)
        if entered is not None:
            self._recorder.unwind(entered)

    def _find(self, code: types.CodeType) -> recorder.Entered | None:
        """The running frame, if it is one of ours in the thread that is traced."""
        if _get_thread() != self._thread:
            return None
        entered = self._recorder.running
        return entered if entered is not None and entered.facts.code is code else None
