"""One pool of two workers for each backend that works on this machine."""

import importlib.util
import secrets
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest

from simex.problems.problem import Limits
from simex.sandbox.backends import why_not_working
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.pool import SandboxPool
from tests.sandbox.conformance import why_not

JAILS = ("bubblewrap", "bubblewrap_userns", "bare")
# The same jails behind another process and the network.
CLUSTER = pytest.param("ray", marks=pytest.mark.long)
# A sleeper is ended after max(5 s, 5 * 1 s), a busy program after 1 s.
QUICK = Limits(cpu_secs=1.0, memory_mib=256, output_mib=1.0)

RAY_SERVER = """
import sys, ray
quiet = dict(configure_logging=False, log_to_driver=False)
context = ray.init(num_cpus=2, include_dashboard=False, **quiet)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""
Run = Callable[..., RunOutcome]


@pytest.fixture(scope="session")
def pools(request) -> Iterator[Callable[[str], SandboxPool]]:
    made: dict[str, SandboxPool] = {}

    def get(name: str) -> SandboxPool:
        if name == "ray":
            request.getfixturevalue("ray_cluster")  # skips where there is no ray
        elif (reason := why_not(name)) is not None:
            pytest.skip(reason)
        if name not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of `unsafe`
                made[name] = SandboxPool(2, name, allow_unsafe=name == "unsafe")
        return made[name]

    yield get
    for pool in made.values():
        pool.close()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[int]:
    """A Ray of our own on this machine, with two CPUs; the pid of its root."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed (the extra `cluster`)")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RAY_SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server:
            assert server.stdin is not None and server.stdout is not None
            monkeypatch.setenv("RAY_ADDRESS", server.stdout.readline().strip())
            yield server.pid
            server.stdin.close()


@pytest.fixture(params=[*JAILS, CLUSTER])
def pool(request, pools) -> SandboxPool:
    """Each jail in turn: all of them keep the same promises."""
    return pools(request.param)


@pytest.fixture(params=[*JAILS, "unsafe", CLUSTER])
def run_anywhere(request, pools) -> Run:
    """Like `run`, and without a jail too: for own programs that need none."""
    return make_run(pools(request.param))


@pytest.fixture
def run(pool) -> Run:
    """Run a source on a stdin in each jail."""
    return make_run(pool)


def make_run(pool: SandboxPool) -> Run:
    def run_one(
        source: str, stdin: str = "", limits: Limits = QUICK, **settings
    ) -> RunOutcome:
        request = RunRequest(source=source, stdin=stdin, limits=limits, **settings)
        return pool.submit(request).result(timeout=120)

    return run_one


@pytest.fixture
def best_pool(pools) -> SandboxPool:
    """The strongest jail that works here."""
    for name in JAILS:
        if why_not_working(name) is None:
            return pools(name)
    pytest.skip("no jail works on this machine")
