"""Record what a program does, line by line: the tracer that fits the interpreter.

Runs inside the box, in the program's own process: standard library only.
`sys.monitoring` from Python 3.12 on, `sys.settrace` before. Both give the same events
for the same program, as far as the interpreters do. Known differences:

* A loop written on one line (``for x in a: t += x``) has a LINE for each turn on 3.11,
  and one LINE in all from 3.12 on; its changes show in the next event.
* A comprehension has the variables of its own frame on 3.11. From 3.12 on it runs in
  the frame around it (PEP 709): over several lines it has LINEs of that frame.
* ``gen.close()`` of a generator that catches nothing runs it on 3.11 and 3.12 (CALL,
  EXCEPTION); 3.13 may drop it without a step.
* A dict that ``locals()`` gave follows the variables on 3.11 and 3.12 while traced; so
  a loop over it may break, and such a trace is refused. From 3.13 on it is a copy
  (PEP 667).
* ``sys.settrace`` in the program ends tracing on 3.11 (`is_lost`), and ends nothing
  later; there, taking ``sys.monitoring`` from tool 4 does.
* ``sys.getrecursionlimit()`` is one higher while traced. The tracer needs a few frames
  too, so a program that comes so near to the limit loses its trace (`is_lost`).
* Nested containers that do not change cost less before 3.12 (see `watch`).
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
