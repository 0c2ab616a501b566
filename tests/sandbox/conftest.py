"""One pool of two workers for each backend that works on this machine."""

from collections.abc import Callable, Iterator

import pytest

from simex.problems.problem import Limits
from simex.sandbox.backends import why_not_working
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.pool import SandboxPool

JAILS = ("bubblewrap", "bubblewrap_userns", "bare")
# A sleeper is ended after max(5 s, 5 * 1 s), a busy program after 1 s.
QUICK = Limits(cpu_secs=1.0, memory_mib=256, output_mib=1.0)

Run = Callable[..., RunOutcome]


@pytest.fixture(scope="session")
def pools() -> Iterator[Callable[[str], SandboxPool]]:
    made: dict[str, SandboxPool] = {}

    def get(name: str) -> SandboxPool:
        reason = why_not_working(name)
        if reason is not None:
            pytest.skip(f"{name} does not work on this machine: {reason}")
        if name not in made:
            made[name] = SandboxPool(2, name)
        return made[name]

    yield get
    for pool in made.values():
        pool.close()


@pytest.fixture(params=JAILS)
def pool(request, pools) -> SandboxPool:
    """Each jail in turn: all of them keep the same promises."""
    return pools(request.param)


@pytest.fixture
def run(pool) -> Run:
    """Run a source on a stdin in each jail."""

    def run_one(
        source: str, stdin: str = "", limits: Limits = QUICK, **settings
    ) -> RunOutcome:
        request = RunRequest(source=source, stdin=stdin, limits=limits, **settings)
        return pool.submit(request).result(timeout=60)

    return run_one


@pytest.fixture
def best_pool(pools) -> SandboxPool:
    """The strongest jail that works here."""
    for name in JAILS:
        if why_not_working(name) is None:
            return pools(name)
    pytest.skip("no jail works on this machine")
