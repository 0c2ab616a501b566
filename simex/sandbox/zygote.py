"""The fork server: one warm interpreter that forks a child for every run.

Runs inside the box as a script, with the standard library only: the one process of a
worker that is trusted and lives long. It never reads programs, stdin or outputs; it
hands their descriptors to the child and reports how the child ended.

Usage: `python -s -P -S -B zygote.py CONFIG_JSON`, CONFIG_JSON as in `Config`.
"""

import gc
import importlib
import json
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, NamedTuple, NoReturn

WARM_MODULES = """
array bisect collections copy ctypes dataclasses datetime enum fractions functools
heapq itertools math operator queue random re statistics string threading typing
"""
_STACK_BYTES = 1 << 29
_TICK_SECS = 0.02
# A run that waits for a CPU gets its wall clock extended, but not for ever.
_MAX_WALL_FACTOR = 6


class Config(NamedTuple):
    """How the driver starts a fork server."""

    socket_fd: int
    package_root: str  # the folder that holds `simex`
    layers: dict[str, Any]  # fields of confine.Layers
    has_stack: bool = False  # set when it starts itself again


def _start_again_with_big_stack(config: Config) -> None:
    """The main thread's room to grow is fixed at exec, so the limit comes first."""
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    stack = _STACK_BYTES
    if hard != resource.RLIM_INFINITY:
        stack = min(stack, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
    text = json.dumps(config._replace(has_stack=True)._asdict())
    flags = ["-s", "-P", "-S", "-B"]
    os.execv(sys.executable, [sys.executable, *flags, __file__, text])


def _warm_up() -> None:
    """Pay once for what every run would pay: imports and the first compilation."""
    for name in WARM_MODULES.split():
        importlib.import_module(name)
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()
    sample = (
        "import sys\nclass A:\n    x: int = 1\nprint([a for a in (1, 2)], f'{1}')\n"
    )
    compile(sample, "sample", "exec", dont_inherit=True)
    try:
        compile("print(", "sample", "exec")
    except SyntaxError as error:
        "".join(traceback.format_exception(error))


def _hide_own_modules() -> None:
    """Programs see the modules of a plain interpreter and none of ours."""
    for name in [n for n in sys.modules if n.split(".")[0] == "simex"]:
        del sys.modules[name]


def _redirect_to_null() -> None:
    """Give 0, 1 and 2 to /dev/null; the standard stream objects stay as they are."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _close_all_but(*kept: int) -> None:
    """Leave 0, 1, 2 and `kept`. Maps keep a descriptor that only this closes."""
    start = 3
    for descriptor in sorted(fd for fd in kept if fd >= 0):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, 1 << 16)


class ForkServer:
    """Serves one request at a time until the driver hangs up."""

    def __init__(self, config: Config):
        sys.path.insert(0, config.package_root)
        self._protocol = importlib.import_module("simex.sandbox.protocol")
        self._program = importlib.import_module("simex.sandbox.program")
        self._call = importlib.import_module("simex.sandbox.call")
        self._tracer = importlib.import_module("simex.traces.tracer")
        self._clock = importlib.import_module("simex.sandbox.process_clock")
        confine = importlib.import_module("simex.sandbox.confine")
        del sys.path[0]
        self._socket = socket.socket(fileno=config.socket_fd)
        self._confinement = confine.Confinement(confine.Layers(**config.layers))
        self._is_pid_1 = os.getpid() == 1
        self._status_read, self._status_write = os.pipe()
        os.set_blocking(self._status_read, False)
        self._num_memory_kills = self._clock.count_host_memory_kills()

    def prepare(self) -> None:
        libc = importlib.import_module("ctypes").CDLL(None)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        self._confinement.prepare_server()
        for name in ("PYTHONIOENCODING", "PYTHONHOME", "LD_LIBRARY_PATH", "PWD"):
            os.environ.pop(name, None)
        _warm_up()
        self._tracer.warm_up()
        _hide_own_modules()
        _redirect_to_null()
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        hello = {"python": sys.version.split()[0], "is_pid_1": self._is_pid_1}
        self._socket.send(json.dumps(hello).encode())
        while True:
            message, descriptors, _, _ = socket.recv_fds(
                self._socket, self._protocol.MAX_MESSAGE_BYTES, 8
            )
            if not message:
                return
            request = self._protocol.parse_request(message)
            self._socket.send(
                self._protocol.pack_reply(self._run(request, descriptors))
            )

    def _run(self, request: Any, descriptors: list[int]) -> Any:
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._be_the_child(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        reason = self._watch(pid, request, start)
        _, wait_status, usage = os.wait4(pid, 0)
        wall_secs = time.monotonic() - start
        self._reap_everything()
        stage, detail = self._read_stage()
        reasons = self._protocol.EndReason
        # Nobody here killed it. (A program may kill itself, so ask the kernel too.)
        if (reason, wait_status) == (reasons.ENDED, signal.SIGKILL):
            reason = reasons.HOST_MEMORY if self._host_ran_out() else reason
        return self._protocol.Reply(
            run_id=request.run_id,
            reason=reason,
            stage=stage,
            wait_status=wait_status,
            cpu_secs=usage.ru_utime + usage.ru_stime,
            wall_secs=wall_secs,
            max_rss_bytes=usage.ru_maxrss * 1024,
            server_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            detail=detail,
        )

    def _watch(self, pid: int, request: Any, start: float) -> Any:
        """Wait until the child has ended, ending it if it takes more than its due."""
        reasons = self._protocol.EndReason
        process = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(self._socket, 0)  # hang-up only
        clock = self._clock.ProcessClock(pid)
        reason = reasons.ENDED
        while True:
            ready = [fd for fd, _ in poll.poll(_TICK_SECS * 1000)]
            if process in ready:
                os.close(process)
                return reason
            if ready:  # the driver is gone, and so is the reason to go on
                signal.pidfd_send_signal(process, signal.SIGKILL)
                os._exit(0)
            if reason == reasons.ENDED:
                reason = self._find_excess(clock, request, time.monotonic() - start)
            if reason != reasons.ENDED:
                signal.pidfd_send_signal(process, signal.SIGKILL)

    def _find_excess(self, clock: Any, request: Any, wall_secs: float) -> Any:
        reasons = self._protocol.EndReason
        if clock.cpu_secs() > request.cpu_secs:
            return reasons.CPU
        if clock.resident_bytes() > request.memory_bytes:
            return reasons.MEMORY
        if wall_secs <= request.wall_secs:
            return reasons.ENDED
        if wall_secs - clock.waiting_secs() > request.wall_secs:
            return reasons.WALL
        if wall_secs > request.wall_secs * _MAX_WALL_FACTOR:
            return reasons.STARVED
        return reasons.ENDED

    def _reap_everything(self) -> None:
        """Nothing of a run may live on. Children cannot fork; this is the second wall."""
        if not self._is_pid_1:
            return
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass

    def _read_stage(self) -> tuple[Any, str]:
        stages = self._protocol.ChildStage
        try:
            status = os.read(self._status_read, 4096)
        except BlockingIOError:
            status = b""
        if status[:1] != self._protocol.READY:
            return stages.NOT_READY, status[1:].decode("utf-8", "replace")
        if status[1:] == self._protocol.COMPILED:
            return stages.COMPILED, ""
        is_refused = status[1:] == self._protocol.REFUSED
        return (stages.REFUSED if is_refused else stages.READY), ""

    def _host_ran_out(self) -> bool:
        before, self._num_memory_kills = (
            self._num_memory_kills,
            self._clock.count_host_memory_kills(),
        )
        return self._num_memory_kills > before

    def _be_the_child(self, request: Any, descriptors: list[int]) -> NoReturn:
        leave = os._exit
        try:
            self._become_program(request, descriptors)
        finally:
            leave(1)

    def _become_program(self, request: Any, descriptors: list[int]) -> None:
        status = self._status_write
        protocol, program = self._protocol, self._program
        try:
            execute = self._take_descriptors(request, descriptors)
            size = os.fstat(descriptors[0]).st_size
            source = os.pread(descriptors[0], size, 0)
            result = descriptors[5:6]  # of a call
            _close_all_but(status, self._confinement.ruleset, *result)
            self._confinement.enter(request)
        except (OSError, ValueError) as error:
            os.write(status, b"!" + str(error).encode())
            os._exit(1)
        os.write(status, protocol.READY)
        code = program.compile_program(source)
        os.write(status, protocol.COMPILED if code else protocol.REFUSED)
        os.close(status)
        if code is None:
            os._exit(1)
        return program.run_program(
            code,
            source,
            execute=execute,
            memory_exit_code=protocol.MEMORY_ERROR_EXIT_CODE,
        )

    def _take_descriptors(self, request: Any, descriptors: list[int]) -> Any:
        for target, descriptor in enumerate(descriptors[1:4]):
            os.dup2(descriptor, target)
        execute: Any = exec
        if request.is_traced:
            execute = self._tracer.Tracer(
                file_name=self._program.FILE_NAME,
                max_events=request.max_events,
                max_bytes=request.max_trace_bytes,
                room=mmap.mmap(descriptors[-1], self._protocol.trace_room(request)),
            ).run
        if request.has_call:
            execute = self._call.make_execute(*descriptors[4:6], execute)
        return execute


def main() -> None:
    config = Config(**json.loads(sys.argv[1]))
    if not config.has_stack:
        _start_again_with_big_stack(config)
    server = ForkServer(config)
    server.prepare()
    server.serve()


if __name__ == "__main__":
    main()
