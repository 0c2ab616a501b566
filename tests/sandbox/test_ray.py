"""The workers as Ray actors. What runs there is tested with all other backends."""

import contextlib
import os
import pathlib
import signal
import sys
import time

import pytest

from simex.core.errors import UserError
from simex.sandbox.backends import BACKENDS, choose_backend, ray_cluster
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool
from tests.sandbox.processes import descendants

PRINT = RunRequest(source="print(input())", stdin="7")


def test_without_ray_the_message_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    reason = BACKENDS["ray"].why_unavailable()
    assert reason is not None and "`cluster`" in reason


def test_other_machines_are_never_chosen_by_themselves():
    assert choose_backend().name != "ray"
    assert "ray" not in sys.modules  # nor is it imported


@pytest.mark.slow
def test_without_a_cluster_the_message_says_how_to_start_one(ray_cluster, monkeypatch):
    del ray_cluster  # only to skip where there is no ray
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="ray start --head"):
        SandboxPool(1, "ray")


@pytest.mark.slow
def test_a_jail_killed_under_its_actor_costs_a_retry_and_no_verdict(ray_cluster, pools):
    pool = pools("ray")
    assert pool.submit(PRINT).result(timeout=120).stdout == b"7\n"
    before = pool.counters
    jails = {pid for pid in descendants(ray_cluster) if has_word(pid, b"bwrap")}
    if not jails:
        pytest.skip("the cluster's jails are not bubblewrap's")
    sleeper = RunRequest(source="import time\ntime.sleep(2)\nprint('slept')")
    futures = [pool.submit(sleeper) for _ in range(2)]
    time.sleep(0.7)
    for pid in jails:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    outcomes = [future.result(timeout=120) for future in futures]
    assert [o.stdout for o in outcomes] == [b"slept\n"] * 2
    assert outcomes[0].backend in ("ray:bubblewrap", "ray:bubblewrap_userns")
    assert pool.backend_name == "ray"
    assert pool.counters.num_retries > before.num_retries
    assert pool.counters.num_infra_errors == before.num_infra_errors


def has_word(pid: int, word: bytes) -> bool:
    """Whether that is how its command line begins."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(word)
    except OSError:
        return False


@pytest.mark.slow
def test_no_more_workers_than_the_cluster_has_cpus(ray_cluster):
    with SandboxPool(None, "ray") as pool:
        assert pool.num_workers == 2
        assert pool.submit(PRINT).result(timeout=120).stdout == b"7\n"
