"""Take one wall away and something gets through: every wall is tested by something.

The programs are our own and harmless even without the wall.
"""

import os

import pytest

from simex.core.errors import UserError
from simex.sandbox.backends import why_not_working
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool

PROBES = {
    "seccomp": "import os\nif os.fork() == 0: os._exit(0)\nos.wait()\nprint('through')",
    "landlock": "import os\nos.listdir('/')\nprint('through')",
    "uid": "import os\nassert os.getuid() == 0\nprint('through')",
    "network": (
        "import os\nassert len(open('/proc/net/dev').readlines()) > 3\nprint('through')"
    ),
}


def run_without(layers: set[str], backend: str, source: str) -> bytes:
    with SandboxPool(1, backend, switched_off=frozenset(layers)) as pool:
        return pool.submit(RunRequest(source=source)).result().stdout


@pytest.mark.parametrize("backend", ["bubblewrap", "bare"])
@pytest.mark.parametrize("layer", ["seccomp", "landlock", "uid"])
def test_without_a_layer_its_own_probe_gets_through(backend, layer):
    if why_not_working(backend) is not None:
        pytest.skip(f"{backend} does not work here: {why_not_working(backend)}")
    if layer == "uid" and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    assert run_without({layer}, backend, PROBES[layer]) == b"through\n"
    assert run_without(set(), backend, PROBES[layer]) == b""


def test_without_its_own_network_the_jail_sees_the_hosts_devices():
    """Landlock is off in both runs, so that the program can look."""
    backend = next(
        (b for b in ("bubblewrap", "bubblewrap_userns") if not why_not_working(b)), None
    )
    if backend is None:
        pytest.skip("no bubblewrap here")
    with open("/proc/net/dev") as file:
        if len(file.readlines()) <= 3:
            pytest.skip("this machine has no network device but loopback")
    probe = PROBES["network"]
    assert run_without({"landlock", "network"}, backend, probe) == b"through\n"
    assert run_without({"landlock"}, backend, probe) == b""


def test_without_seccomp_a_program_that_forks_is_still_swept_away():
    """The fork server is PID 1 and ends whatever a run leaves behind."""
    if why_not_working("bubblewrap") is not None:
        pytest.skip(f"no root jail here: {why_not_working('bubblewrap')}")
    leave_one = "import os, time\nif os.fork() == 0: time.sleep(60)\nprint('gone')"
    count = (
        "import os\nprint(sum(p.isdigit() for p in os.listdir('/proc')))"  # 1 and us
    )
    off = frozenset({"seccomp", "landlock"})
    with SandboxPool(1, "bubblewrap", switched_off=off) as pool:
        assert pool.submit(RunRequest(source=leave_one)).result().stdout == b"gone\n"
        assert pool.submit(RunRequest(source=count)).result().stdout == b"2\n"


def test_an_unknown_layer_is_refused(best_pool):
    name, typo = best_pool.backend_name, frozenset({"secomp"})
    with pytest.raises(UserError, match="Known layers"):
        SandboxPool(1, name, switched_off=typo)
