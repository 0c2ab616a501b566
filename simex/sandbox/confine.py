"""What a freshly forked child gives up before it touches the program.

Runs inside the box: standard library only. Everything that can be prepared is
prepared once in the fork server, because these calls are a good part of what a run
costs.
"""

import ctypes
import math
import os
import platform
import resource
import signal
from typing import NamedTuple

from simex.sandbox import landlock, protocol, seccomp

MAX_THREADS = 64
MAX_DESCRIPTORS = 64
# Address space counts thread stacks and is not what is judged; resident memory is.
SPARE_ADDRESS_BYTES = 1 << 30
DEFAULT_THREAD_STACK_BYTES = 8 << 20
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


class Layers(NamedTuple):
    """Which walls stand. Switching one off is for tests of the others only."""

    uid: int | None  # whom to become; None where the fork server is not root
    limits_threads: bool  # RLIMIT_NPROC, where no other process shares the count
    uses_landlock: bool
    uses_seccomp: bool
    readable: list[str]
    writable_devices: list[str]


class Confinement:
    """The walls around each child of one fork server."""

    def __init__(self, layers: Layers):
        self._layers = layers
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        self.ruleset = -1  # a descriptor that the child needs until `enter`
        if layers.uses_landlock:
            self.ruleset = landlock.make_ruleset(
                layers.readable, layers.writable_devices
            )
        self._filter = None
        if layers.uses_seccomp:
            self._filter = seccomp.SeccompFilter(platform.machine())
        self._server_pid = os.getpid()

    def prepare_server(self) -> None:
        """Limits that the fork server shares with its children."""
        for name, value in {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
            resource.RLIMIT_NOFILE: MAX_DESCRIPTORS,
        }.items():
            resource.setrlimit(name, (value, value))
        self._call_prctl(_PR_SET_DUMPABLE, 0)
        _set_default_thread_stack(DEFAULT_THREAD_STACK_BYTES)

    def enter(self, request: protocol.Request) -> None:
        """Raises OSError where a wall cannot be built; the run is then void."""
        self._set_limits(request)
        if self._layers.uid is not None:
            uid = self._layers.uid
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        self._call_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._server_pid:
            raise OSError("the fork server ended")
        self._call_prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if self._layers.uses_landlock:
            landlock.enter(self.ruleset)
            os.close(self.ruleset)
        if self._filter is not None:
            self._filter.install(os.getpid())

    def _set_limits(self, request: protocol.Request) -> None:
        address_bytes = request.memory_bytes + SPARE_ADDRESS_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))
        file_bytes = request.file_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        # Only a backstop: the kernel's accounting of it is coarse.
        cpu_secs = math.ceil(request.cpu_secs * 1.25) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_secs, cpu_secs + 1))
        if self._layers.limits_threads:
            resource.setrlimit(resource.RLIMIT_NPROC, (MAX_THREADS, MAX_THREADS))

    def _call_prctl(self, option: int, value: int) -> None:
        if self._prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def _set_default_thread_stack(num_bytes: int) -> None:
    """Without this, threads would get the huge stack limit of the main thread."""
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(256)
    set_default = getattr(libc, "pthread_setattr_default_np", None)
    if set_default is None:
        return  # not glibc: its own default does not follow the stack limit
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(num_bytes))
    set_default(attributes)
    libc.pthread_attr_destroy(attributes)
