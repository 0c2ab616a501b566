"""No jail at all: a plain subprocess a run, for machines that can do no better.

Made for trying simex on a laptop without Linux. A program can read your files, use
your network and leave processes behind. It runs only where a person has said so.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

from simex.core.errors import InfraError
from simex.sandbox import interpreter, protocol
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus
from simex.sandbox.worker import Worker

_MIN_WALL_SECS, _WALL_FACTOR = 5.0, 5.0
_MIB = 1 << 20
_TAIL_BYTES = 2048
_SCRIPT = interpreter.PACKAGE_ROOT / "simex/sandbox/single_run.py"


class Unsafe:
    """`allow_unsafe` in the pool is what lets this be chosen."""

    name = "unsafe"

    def why_unavailable(self) -> str | None:
        return None

    def start(self, slot: int, switched_off: frozenset[str] = frozenset()) -> Worker:
        return SubprocessWorker(self.name, interpreter.make_environment(switched_off))


class SubprocessWorker:
    """One new interpreter for every run."""

    def __init__(self, backend: str, environment: dict[str, str]):
        self.backend = backend
        self._environment = environment
        self.python_version = sys.version.split()[0]
        self.is_worn = False

    def kill(self) -> None:
        pass  # a run ends by its own limits

    def close(self) -> None:
        pass

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
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        exit_code = self._wait(command, folder, request)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Other workers' children may end meanwhile: here CPU time is an upper bound.
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        wall_secs = time.monotonic() - start
        return self._read(folder, request, exit_code, min(used, wall_secs), wall_secs)

    def _wait(self, command: list[str], folder: str, request: RunRequest) -> int | None:
        """The exit code, or None after the wall limit."""
        paths = [os.path.join(folder, n) for n in ("stdin", "stdout", "stderr")]
        wall_secs = max(_MIN_WALL_SECS, _WALL_FACTOR * request.limits.cpu_secs)
        with (
            open(paths[0], "rb") as stdin,
            open(paths[1], "wb") as stdout,
            open(paths[2], "wb") as stderr,
        ):
            try:
                return subprocess.run(
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env=self._environment,
                    cwd=folder,
                    timeout=wall_secs,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                return None
            except OSError as error:
                raise InfraError(f"No interpreter: {error}.") from None

    def _read(
        self,
        folder: str,
        request: RunRequest,
        exit_code: int | None,
        cpu_secs: float,
        wall_secs: float,
    ) -> RunOutcome:
        cap = int(request.limits.output_mib * _MIB)
        stdout = _read_some(os.path.join(folder, "stdout"), cap)
        stderr = _read_some(os.path.join(folder, "stderr"), cap)
        stage = _read_some(os.path.join(folder, "stage"), 16)
        if not stage.startswith(protocol.READY) and exit_code is not None:
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
            status=_status_of(exit_code, stage, is_full=is_full),
            stdout=stdout,
            stderr_tail=stderr[-_TAIL_BYTES:].decode("utf-8", "replace"),
            cpu_secs=cpu_secs,
            wall_secs=wall_secs,
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


def _status_of(exit_code: int | None, stage: bytes, *, is_full: bool) -> RunStatus:
    if exit_code is None or exit_code in (-signal.SIGXCPU, -signal.SIGKILL):
        return RunStatus.TIME_LIMIT
    if is_full:
        return RunStatus.OUTPUT_LIMIT
    if stage != protocol.READY + protocol.COMPILED:
        return RunStatus.COMPILE_ERROR
    if exit_code == protocol.MEMORY_ERROR_EXIT_CODE:
        return RunStatus.MEMORY_LIMIT
    return RunStatus.OK if exit_code == 0 else RunStatus.RUNTIME_ERROR
