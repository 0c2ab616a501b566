"""Record what a program does, line by line: the tracer that fits the interpreter.

Runs inside the box, in the program's own process: standard library only.
`sys.monitoring` from Python 3.12 on, `sys.settrace` before. Both give the same events
for the same program, as far as the interpreters do; known differences:

| what the program does         | 3.11 (settrace)            | 3.12 and 3.13 (monitoring) |
|-------------------------------|----------------------------|----------------------------|
TABLE
"""

import gc
import sys
from typing import Any

from simex.traces.monitoring import MonitoringTracer
from simex.traces.settrace import SettraceTracer

Tracer: Any = MonitoringTracer if hasattr(sys, "monitoring") else SettraceTracer


def warm_up() -> None:
    """Run every path once in the fork server, so that no child pays for it."""
    source = (
        "class A:\n    def __init__(self): self.x = 1\n"
        "def f(x):\n    return [x, {x: (1, 'a')}, {1}]\ny = f(1)\na = A()\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass\n"
    )
    room = bytearray(1 << 16)
    tracer = Tracer(
        file_name="sample", max_events=100, max_bytes=1 << 15, room=memoryview(room)
    )
    code = compile(source, "sample", "exec", dont_inherit=True)
    tracer.run(code, {"__name__": "sample"}, audits=False)
    sys.setrecursionlimit(1000)
    sys.stdout.reconfigure(write_through=False)  # type: ignore[union-attr]
    gc.collect()
