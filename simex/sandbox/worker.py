"""One fork server seen from the driver: start it, hand it runs, read what is left."""

import contextlib
import dataclasses
import json
import math
import os
import select
import signal
import socket
import subprocess
import tempfile
from typing import Any, Protocol

from simex.core.errors import InfraError
from simex.problems.problem import Limits
from simex.sandbox import interpreter, protocol
from simex.sandbox.memory_files import MemoryFiles
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus

MIN_WALL_SECS = 5.0
WALL_FACTOR = 5.0  # wall time over CPU time; it only ends programs that sleep
_MIB = 1 << 20
_MAX_GROWTH_BYTES = 32 * _MIB  # of a fork server; then a fresh one
_START_SECS = 60.0
_SPARE_SECS = 30.0  # what the fork server may take over the time of a run
_STARVED_FACTOR = 6.0  # as in zygote.py: a starved run may last so much longer


class Worker(Protocol):
    """Runs one program at a time."""

    python_version: str
    is_worn: bool  # no harm done yet, but a fresh one is due

    def run(self, request: RunRequest) -> RunOutcome:
        """Raises InfraError; the worker is then to be closed and replaced."""

    def kill(self) -> None:
        """End it from another thread; a run under way raises InfraError."""

    def close(self) -> None:
        """End it and free what it holds. For the thread that runs it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZygoteCommand:
    """How a backend wants its fork server started."""

    backend: str
    prefix: list[str]  # the jail's own command, empty without one
    executable: str  # of the interpreter, as seen inside the jail, like all below
    script: str
    package_root: str
    layers: dict[str, Any]
    environment: dict[str, str]
    is_pid_1: bool  # what the fork server must find itself to be


def start_zygote(command: ZygoteCommand) -> "ZygoteWorker":
    """Raises InfraError with what the jail said if there is no greeting."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    config = {
        "socket_fd": theirs.fileno(),
        "package_root": command.package_root,
        "layers": command.layers,
    }
    words = [*command.prefix, command.executable, *interpreter.FLAGS, command.script]
    # No preexec_fn: the caller may hold threads of JAX and must not run Python
    # between fork and exec. The thread that starts a jail must outlive it: the kernel
    # ends the jail together with that thread.
    with tempfile.TemporaryFile() as complaints, theirs:
        try:
            process = subprocess.Popen(
                [*words, json.dumps(config)],
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the caller
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise InfraError(f"{command.backend} does not start: {error}.") from None
        theirs.close()
        worker = ZygoteWorker(command.backend, process, ours)
        try:
            worker.greet(expects_pid_1=command.is_pid_1)
        except InfraError as error:
            worker.close()
            complaints.seek(0)
            said = complaints.read(4096).decode("utf-8", "replace").strip()
            raise InfraError(f"{command.backend}: {error} {said}".strip()) from None
    return worker


class ZygoteWorker:
    """A fork server and the socket to it."""

    def __init__(
        self, backend: str, process: subprocess.Popen[bytes], channel: socket.socket
    ):
        self.backend = backend
        self.pid = process.pid
        self.python_version = ""
        self.is_worn = False
        self._first_rss_bytes = 0
        self._process = process
        self._socket = channel
        self._num_runs = 0

    def greet(self, *, expects_pid_1: bool) -> None:
        hello = json.loads(self._receive(_START_SECS))
        self.python_version = hello["python"]
        if hello["is_pid_1"] is not expects_pid_1:
            raise InfraError("the fork server is not alone in its process space.")

    def run(self, request: RunRequest) -> RunOutcome:
        """Raises InfraError if the fork server fails; never for the program's fault."""
        self._num_runs += 1
        order = _make_order(request, self._num_runs)
        with MemoryFiles(request, order) as files:
            try:
                socket.send_fds(
                    self._socket, [protocol.pack_request(order)], files.descriptors
                )
            except OSError as error:
                raise InfraError(f"The fork server is gone: {error}.") from None
            patience_secs = find_patience_secs(request.limits)
            reply = protocol.parse_reply(self._receive(patience_secs))
            if reply.run_id != order.run_id:
                raise InfraError("The fork server answered another request.")
            self._watch_growth(reply.server_rss_bytes)
            outcome = _make_outcome(request, reply, files, self.backend)
        # Nobody makes such a call by accident. A kill for memory or time is common,
        # and leaves nothing behind: the child was all that the run had.
        self.is_worn = self.is_worn or outcome.status is RunStatus.BLOCKED
        return outcome

    def _watch_growth(self, server_rss_bytes: int) -> None:
        if not self._first_rss_bytes:
            self._first_rss_bytes = server_rss_bytes
        self.is_worn = server_rss_bytes > self._first_rss_bytes + _MAX_GROWTH_BYTES

    def _receive(self, timeout_secs: float) -> bytes:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(timeout_secs * 1000):
            raise InfraError(f"The fork server said nothing in {timeout_secs:.0f} s.")
        try:
            message = self._socket.recv(protocol.MAX_MESSAGE_BYTES)
        except OSError as error:
            raise InfraError(f"The fork server is gone: {error}.") from None
        if not message:
            raise InfraError("The fork server ended.")
        return message

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        self._socket.close()
        self.kill()
        self._process.wait()


def find_wall_secs(limits: Limits) -> float:
    """How long a run may sleep."""
    return max(MIN_WALL_SECS, WALL_FACTOR * limits.cpu_secs)


def find_patience_secs(limits: Limits) -> float:
    """How long a worker may be silent over a run before it counts as broken."""
    return find_wall_secs(limits) * _STARVED_FACTOR + _SPARE_SECS


def _make_order(request: RunRequest, run_id: int) -> protocol.Request:
    limits = request.limits
    return protocol.Request(
        run_id=run_id,
        cpu_secs=limits.cpu_secs,
        wall_secs=find_wall_secs(limits),
        memory_bytes=limits.memory_mib * _MIB,
        file_bytes=max(1, math.floor(limits.output_mib * _MIB)),
        max_events=request.max_events,
        max_trace_bytes=request.max_trace_bytes,
        is_traced=request.is_traced,
        has_call=request.call is not None,
    )


def _make_outcome(
    request: RunRequest, reply: protocol.Reply, files: MemoryFiles, backend: str
) -> RunOutcome:
    if reply.stage is protocol.ChildStage.NOT_READY:
        raise InfraError(f"The box could not be closed: {reply.detail or 'no reason'}.")
    if reply.reason is protocol.EndReason.STARVED:
        raise InfraError("A run never got enough of a CPU.")
    if reply.reason is protocol.EndReason.HOST_MEMORY:
        raise InfraError("The machine ran out of memory.")
    stdout, is_stdout_full = files.stdout()
    stderr_tail, is_stderr_full = files.stderr_tail()
    result, is_result_full = files.result()
    is_full = is_stdout_full or is_stderr_full or is_result_full
    return RunOutcome(
        status=_status_of(request, reply, is_full=is_full),
        stdout=stdout,
        stderr_tail=stderr_tail,
        cpu_secs=reply.cpu_secs,
        wall_secs=reply.wall_secs,
        backend=backend,
        trace=files.trace(),
        result=result,
    )


def _status_of(
    request: RunRequest, reply: protocol.Reply, *, is_full: bool
) -> RunStatus:
    reasons, stages = protocol.EndReason, protocol.ChildStage
    exit_signal = (
        os.WTERMSIG(reply.wait_status) if os.WIFSIGNALED(reply.wait_status) else 0
    )
    exit_code = os.WEXITSTATUS(reply.wait_status) if not exit_signal else -1
    memory_bytes = request.limits.memory_mib * _MIB
    if reply.cpu_secs > request.limits.cpu_secs or exit_signal == signal.SIGXCPU:
        return RunStatus.TIME_LIMIT
    if reply.reason in (reasons.CPU, reasons.WALL):
        return RunStatus.TIME_LIMIT
    if is_full:
        return RunStatus.OUTPUT_LIMIT
    if reply.reason is reasons.MEMORY or reply.max_rss_bytes > memory_bytes:
        return RunStatus.MEMORY_LIMIT
    if exit_signal == signal.SIGSYS:
        return RunStatus.BLOCKED
    if reply.stage is not stages.COMPILED:  # it refused the source, or broke over it
        return RunStatus.COMPILE_ERROR
    if exit_code == protocol.MEMORY_ERROR_EXIT_CODE:
        return RunStatus.MEMORY_LIMIT
    return RunStatus.OK if exit_code == 0 else RunStatus.RUNTIME_ERROR
