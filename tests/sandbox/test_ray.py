"""The workers as Ray actors. What runs there is tested with all other backends."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from simex.core.errors import UserError
from simex.sandbox.backends import BACKENDS, ray_cluster
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool
from tests.sandbox.counts import take_counts
from tests.sandbox.processes import descendants

PRINT = RunRequest(source="print(input())", stdin="7")


def test_without_ray_the_message_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    reason = BACKENDS["ray"].why_unavailable()
    assert reason is not None and "`cluster`" in reason


def test_other_machines_are_never_chosen_by_themselves():
    # In a process of its own: another test of this worker may have imported ray.
    program = (
        "import sys; from simex.sandbox.backends import choose_backend; "
        "print(choose_backend().name, 'ray' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    name, imported = answer.stdout.split()
    assert name != "ray"
    assert imported == "False"


@pytest.mark.slow
def test_without_a_cluster_the_message_says_how_to_start_one(ray_cluster, monkeypatch):
    del ray_cluster  # only to skip where there is no ray
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="ray start --head"):
        SandboxPool(1, "ray")


@pytest.mark.slow
def test_a_jail_killed_under_its_actor_costs_a_retry_and_no_verdict(ray_cluster, pools):
    pool = pools("ray")
    assert pool.num_workers == 2
    assert pool.submit(PRINT).result(timeout=120).stdout == b"7\n"
    take_counts(pool)
    sleeper = RunRequest(source="import time\ntime.sleep(3)\nprint('slept')")
    futures = [pool.submit(sleeper) for _ in range(2)]
    time.sleep(1)
    jails = [jail for actor in find_actors() for jail in descendants(actor)]
    assert jails
    for pid in jails:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    outcomes = [future.result(timeout=120) for future in futures]
    assert [o.stdout for o in outcomes] == [b"slept\n"] * 2
    assert outcomes[0].backend.startswith("ray:") and pool.backend_name == "ray"
    counts = take_counts(pool)
    assert counts["retries"] > 0 and counts["infra_errors"] == 0


def find_actors() -> list[int]:
    """The actors of our own cluster, which has a token that no other has."""
    token, found = os.environ["RAY_AUTH_TOKEN"].encode(), []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_actor = (folder / "cmdline").read_bytes().startswith(b"ray::JailedW")
            if is_actor and token in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found
