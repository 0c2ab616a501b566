"""What every jail promises, as named probes: programs that say "through" if they can.

The programs are our own and harmless even where they get through, which is what they do
in the tests that take a wall away. A probe may need other walls to be off: walls stand
behind one another, and only the last one that is left can be seen at work.
"""

import dataclasses

from simex.sandbox.backends import why_not_working
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool

THROUGH = b"through\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """`source` prints "through" where the wall is missing; {port} is a listener's."""

    source: str
    hidden_by: frozenset[str] = frozenset()  # walls that would stop it too


PROBES = {
    "no_fork": Probe(
        source="import os\nif os.fork() == 0: os._exit(0)\nos.wait()\nprint('through')"
    ),
    "no_socket": Probe(
        source="import socket\nsocket.socket(type=socket.SOCK_DGRAM)\nprint('through')"
    ),
    "no_file_tree": Probe(source="import os\nos.listdir('/')\nprint('through')"),
    "no_root": Probe(source="import os\nassert os.getuid() == 0\nprint('through')"),
    "no_host_loopback": Probe(
        source=(
            "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\n"
            "print('through')"
        ),
        hidden_by=frozenset({"seccomp", "landlock"}),
    ),
}
# Which probe gets through when a wall is away; bare's network wall is seccomp itself.
PROBE_OF_LAYER = {
    ("bubblewrap", "seccomp"): "no_fork",
    ("bubblewrap", "landlock"): "no_file_tree",
    ("bubblewrap", "uid"): "no_root",
    ("bubblewrap", "network"): "no_host_loopback",
    ("bubblewrap_userns", "seccomp"): "no_fork",
    ("bubblewrap_userns", "landlock"): "no_file_tree",
    ("bubblewrap_userns", "network"): "no_host_loopback",
    ("bare", "seccomp"): "no_socket",
    ("bare", "landlock"): "no_file_tree",
    ("bare", "uid"): "no_root",
}


def get_through(
    name: str, backend: str, *, off: frozenset[str] = frozenset(), port: int = 0
) -> bool:
    """Whether the probe gets through a jail without the walls in `off`."""
    source = PROBES[name].source.replace("{port}", str(port))
    with SandboxPool(1, backend, switched_off=off) as pool:
        return pool.submit(RunRequest(source=source)).result().stdout == THROUGH


def why_not(backend: str) -> str | None:
    """A reason to skip the tests of a backend, or None."""
    reason = why_not_working(backend)
    return f"{backend} does not work on this machine: {reason}" if reason else None
