"""Events by `sys.settrace`, for interpreters before 3.12.

Runs inside the box: standard library only. It traces the main thread. The program can
take tracing away by calling `sys.settrace` itself, which an audit hook tells, or at
least the end of the run.
"""

import json
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from simex.traces import recorder, values
from simex.traces.codes import YIELDS, CodeFacts, collect_facts

_settrace, _gettrace, _get_thread = sys.settrace, sys.gettrace, threading.get_ident
_LINE, _RETURN, _EXCEPTION = recorder.LINE, recorder.RETURN, recorder.EXCEPTION
_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii
_describe_exception, _render_value = recorder.describe_exception, values.render_value
_id = id

LocalTrace = Callable[[types.FrameType, str, Any], Any]


class SettraceTracer:
    """Traces one program in this process; `run` takes the place of `exec`."""

    def __init__(self, *, file_name: str, max_events: int, max_bytes: int, room: Any):
        self._recorder = recorder.Recorder(
            max_events=max_events, max_bytes=max_bytes, room=room, stop=self._stop
        )
        self._file_name = file_name
        self._told: dict[int, CodeFacts] = {}
        self._is_running = False  # while True, nobody else is to call sys.settrace
        self._is_lost = False
        self._thread = 0

    def run(
        self, code: types.CodeType, namespace: dict[str, Any], *, audits: bool = True
    ) -> None:
        execute, settrace, ours = exec, _settrace, self._recorder
        found = collect_facts(code, self._file_name)
        self._told = {_id(facts.code): facts for facts in found}
        self._thread = _get_thread()
        ours.start(namespace)
        on_call = self._on_call
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)  # this very frame
        # A hook is for ever, and is called whenever anybody calls `id`: too dear for
        # programs that never say the word.
        if audits and any("settrace" in facts.code.co_names for facts in found):
            sys.addaudithook(self._on_audit)
        try:
            settrace(on_call)
            self._is_running = True
            execute(code, namespace)
        finally:
            if not ours.is_stopped:
                is_lost = self._is_lost or _gettrace() is not on_call
                self._stop()
                ours.finish(is_truncated=False, is_lost=is_lost)

    def _stop(self) -> None:
        self._is_running = False
        _settrace(None)

    def _on_audit(self, event: str, arguments: Any) -> None:
        if event == "sys.settrace" and self._is_running:
            # Other threads may trace themselves; that takes nothing from us.
            self._is_lost = self._is_lost or _get_thread() == self._thread

    def _on_call(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        facts = self._told.get(_id(frame.f_code))
        if facts is None or self._recorder.is_stopped:
            return None
        return self._make_local_trace(self._recorder.enter(frame, facts))

    def _make_local_trace(self, entered: recorder.Entered) -> LocalTrace:
        ours, record = self._recorder, self._recorder.record
        leaving = entered.facts.leaving

        def local_trace(frame: types.FrameType, event: str, arg: Any) -> Any:
            if event == "line":
                line = frame.f_lineno
                record(_LINE, frame, entered, line)
                entered.line = line
                entered.raised_at = -1
            elif event == "exception":
                entered.raised_at = frame.f_lasti
                value = _quote(_describe_exception(arg[1]))
                record(_EXCEPTION, frame, entered, frame.f_lineno, value)
            elif event == "return":
                # An exception that was raised anew after a `finally` is no event. One
                # that its own line handles is followed by other instructions of it; a
                # generator that somebody throws one into raises where it yielded, and
                # is told to be there again when the line of a `with` raises it anew.
                offset = frame.f_lasti
                how = leaving[offset] if offset >= 0 else 0
                is_elsewhere = how == YIELDS and frame.f_lineno != entered.line
                if not how or offset == entered.raised_at or is_elsewhere:
                    ours.unwind(entered)
                else:
                    value = _quote(_render_value(arg))
                    record(_RETURN, frame, entered, frame.f_lineno, value)
                    ours.leave(entered)
            return local_trace

        return local_trace
