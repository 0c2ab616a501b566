"""Run one program in this very process, with limits but without a jail.

A script for the `unsafe` backend, standard library only:
`single_run.py FOLDER CPU_SECS MEMORY_MIB OUTPUT_MIB [MAX_EVENTS MAX_TRACE_BYTES]`.
FOLDER holds `program` and, for a call, `call`; `stage`, `result` and `trace` are written
there.
"""

import importlib
import math
import mmap
import os
import pathlib
import resource
import sys
from typing import Any


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    try:
        resource.setrlimit(kind, (soft, soft if hard is None else hard))
    except (ValueError, OSError):
        pass  # macOS refuses some of them; there is no jail here to weaken


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    cpu_secs, memory_mib, output_mib = map(float, sys.argv[2:5])
    root = str(pathlib.Path(__file__).resolve().parents[2])
    sys.path.insert(0, root)
    program = importlib.import_module("simex.sandbox.program")
    call = importlib.import_module("simex.sandbox.call")
    protocol = importlib.import_module("simex.sandbox.protocol")
    tracer = importlib.import_module("simex.traces.tracer")
    site = importlib.import_module("site")
    site.setquit()
    execute: Any = exec
    if len(sys.argv) > 5:
        execute = _make_tracer(folder, tracer, protocol, program.FILE_NAME)
    sys.path.remove(root)
    for name in [n for n in sys.modules if n.split(".")[0] == "simex"]:
        del sys.modules[name]
    source = (folder / "program").read_bytes()
    if (folder / "call").exists():
        call_fd = os.open(folder / "call", os.O_RDONLY)
        result_fd = os.open(folder / "result", os.O_WRONLY | os.O_CREAT)
        execute = call.make_execute(call_fd, result_fd, execute)
    # Only a backstop, as in confine.py; SIGXCPU comes a second before SIGKILL.
    backstop_secs = math.ceil(cpu_secs * 1.25) + 1
    _limit(resource.RLIMIT_CPU, backstop_secs, backstop_secs + 1)
    _limit(resource.RLIMIT_AS, (int(memory_mib) + 1024) << 20)
    _limit(resource.RLIMIT_FSIZE, int(output_mib * (1 << 20)))
    stage = os.open(folder / "stage", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(stage, protocol.READY)
    code = program.compile_program(source)
    os.write(stage, protocol.COMPILED if code else protocol.REFUSED)
    os.close(stage)
    if code is None:
        os._exit(1)
    program.run_program(
        code, source, execute=execute, memory_exit_code=protocol.MEMORY_ERROR_EXIT_CODE
    )


def _make_tracer(
    folder: pathlib.Path, tracer: Any, protocol: Any, file_name: str
) -> Any:
    max_events, max_bytes = int(sys.argv[5]), int(sys.argv[6])
    size = protocol.TRACE_HEADER.size + max_bytes
    descriptor = os.open(folder / "trace", os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, size)
    room = mmap.mmap(descriptor, size)
    return tracer.Tracer(
        file_name=file_name, max_events=max_events, max_bytes=max_bytes, room=room
    ).run


if __name__ == "__main__":
    main()
