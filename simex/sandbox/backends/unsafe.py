"""No jail at all: a plain subprocess a run, for machines that can do no better.

Made for trying simex on a laptop without Linux. A program can read your files, use
your network and leave processes behind. It runs only where a person has said so.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from simex.core.errors import InfraError
from simex.sandbox import interpreter, protocol
from simex.sandbox.backends import layers
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus
from simex.sandbox.worker import Worker, find_wall_secs

_MIB = 1 << 20
_TAIL_BYTES = 2048
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
_SCRIPT = interpreter.PACKAGE_ROOT / "simex/sandbox/single_run.py"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _End:
    """How a process ended; no exit code after the wall limit."""

    exit_code: int | None
    cpu_secs: float
    wall_secs: float
    max_rss_bytes: int


class Unsafe:
    """`allow_unsafe` in the pool is what lets this be chosen."""

    name = "unsafe"
    is_for_auto = True  # but `choose_backend` asks for permission first

    def why_unavailable(self) -> str | None:
        return None

    def count_cores(self) -> int:
        return layers.count_usable_cores()

    def start(self, slot: int, switched_off: frozenset[str] = frozenset()) -> Worker:
        return SubprocessWorker(self.name, interpreter.make_environment(switched_off))


class SubprocessWorker:
    """One new interpreter for every run."""

    def __init__(self, backend: str, environment: dict[str, str]):
        self.backend = backend
        self._environment = environment
        self.python_version = sys.version.split()[0]
        self.is_worn, self._is_killed = False, False
        self._process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        self._is_killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self.kill()

    def run(self, request: RunRequest) -> RunOutcome:
        """Raises InfraError if the interpreter did not even get to the program."""
        with tempfile.TemporaryDirectory(prefix="simex-run-") as folder:
            return self._run_in(folder, request)

    def _run_in(self, folder: str, request: RunRequest) -> RunOutcome:
        for name, text in (("program", request.source), ("stdin", request.stdin)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(text.encode("utf-8", "surrogatepass"))
        if request.call is not None:
            with open(os.path.join(folder, "call"), "wb") as file:
                file.write(request.call)
        command = [sys.executable, *interpreter.FLAGS, str(_SCRIPT), folder]
        command += [str(request.limits.cpu_secs), str(request.limits.memory_mib)]
        command += [str(request.limits.output_mib)]
        if request.is_traced:
            command += [str(request.max_events), str(request.max_trace_bytes)]
        end = self._wait(command, folder, find_wall_secs(request.limits))
        return self._read(folder, request, end)

    def _wait(self, command: list[str], folder: str, wall_secs: float) -> "_End":
        paths = [os.path.join(folder, n) for n in ("stdin", "stdout", "stderr")]
        start = time.monotonic()
        with (
            open(paths[0], "rb") as stdin,
            open(paths[1], "wb") as stdout,
            open(paths[2], "wb") as stderr,
        ):
            try:
                process = subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env=self._environment,
                    cwd=folder,
                )
            except OSError as error:
                raise InfraError(f"No interpreter: {error}.") from None
        self._process, is_late = process, threading.Event()

        def end_late() -> None:
            is_late.set()
            process.kill()

        alarm = threading.Timer(wall_secs, end_late)
        alarm.start()
        # Not `process.wait`, which would not say what this one process has used.
        _, wait_status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(wait_status)
        alarm.cancel()
        if self._is_killed:
            raise InfraError("The run was ended from outside.")
        return _End(
            exit_code=None if is_late.is_set() else process.returncode,
            cpu_secs=usage.ru_utime + usage.ru_stime,
            wall_secs=time.monotonic() - start,
            max_rss_bytes=usage.ru_maxrss * _RSS_UNIT_BYTES,
        )

    def _read(self, folder: str, request: RunRequest, end: "_End") -> RunOutcome:
        cap = int(request.limits.output_mib * _MIB)
        stdout = _read_some(os.path.join(folder, "stdout"), cap)
        stderr = _read_some(os.path.join(folder, "stderr"), cap)
        stage = _read_some(os.path.join(folder, "stage"), 16)
        if not stage.startswith(protocol.READY) and end.exit_code is not None:
            raise InfraError(f"The interpreter broke: {stderr[-300:]!r}.")
        trace = None
        if request.is_traced:
            room = _read_some(
                os.path.join(folder, "trace"), request.max_trace_bytes + 8
            )
            (length,) = protocol.TRACE_HEADER.unpack(room[:8].ljust(8, b"\0"))
            trace = room[8 : 8 + length]
        result = _read_some(os.path.join(folder, "result"), cap)
        is_full = max(len(stdout), len(stderr), len(result)) >= cap
        return RunOutcome(
            status=_status_of(request, end, stage, is_full=is_full),
            stdout=stdout,
            stderr_tail=stderr[-_TAIL_BYTES:].decode("utf-8", "replace"),
            cpu_secs=end.cpu_secs,
            wall_secs=end.wall_secs,
            backend=self.backend,
            trace=trace,
            result=None if request.call is None else result,
        )


def _read_some(path: str, max_bytes: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""


def _status_of(
    request: RunRequest, end: _End, stage: bytes, *, is_full: bool
) -> RunStatus:
    limits, exit_code = request.limits, end.exit_code
    if exit_code is None or exit_code == -signal.SIGXCPU:
        return RunStatus.TIME_LIMIT
    if end.cpu_secs > limits.cpu_secs:
        return RunStatus.TIME_LIMIT
    if is_full:
        return RunStatus.OUTPUT_LIMIT
    if end.max_rss_bytes > limits.memory_mib * _MIB:
        return RunStatus.MEMORY_LIMIT
    if stage != protocol.READY + protocol.COMPILED:
        return RunStatus.COMPILE_ERROR
    if exit_code == protocol.MEMORY_ERROR_EXIT_CODE:
        return RunStatus.MEMORY_LIMIT
    return RunStatus.OK if exit_code == 0 else RunStatus.RUNTIME_ERROR
