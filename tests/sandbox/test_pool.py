"""Every request is answered once, whatever happens to workers and drivers."""

import itertools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from simex.core.errors import InfraError, UserError
from simex.problems.problem import Limits
from simex.sandbox.backends import choose_backend
from simex.sandbox.crew import MAX_ATTEMPTS, Crew
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import RunRequest, RunStatus
from simex.sandbox.pool import SandboxPool
from simex.sandbox.tally import Tally
from tests.sandbox.counts import take_counts
from tests.sandbox.in_one_thread import case
from tests.sandbox.processes import descendants, is_alive, wait_until

SLEEPER = RunRequest(source="import time\ntime.sleep(3)\nprint('slept')")


def test_results_come_in_order_though_runs_do_not(best_pool):
    sources = [
        f"import time\ntime.sleep({0.1 * (i % 2)})\nprint({i})" for i in range(8)
    ]
    outcomes = best_pool.run_all(RunRequest(source=s) for s in sources)
    assert [o.stdout for o in outcomes] == [b"%d\n" % i for i in range(8)]


def test_an_endless_stream_of_requests_is_read_only_so_far_ahead(best_pool):
    taken = itertools.count()
    requests = (RunRequest(source=f"print({next(taken)})") for _ in itertools.count())
    results = best_pool.run_all(requests)
    first = [next(results).stdout for _ in range(5)]
    results.close()
    assert first == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
    # 16 in flight for each of 2 workers, 5 handed out, and some margin.
    assert next(taken) <= 2 * 16 + 5 + 1


def test_a_killed_worker_costs_a_retry_and_no_verdict():
    with SandboxPool(1) as pool:
        pool.submit(RunRequest(source="print(1)")).result()
        future = pool.submit(SLEEPER)
        time.sleep(0.5)
        (pid,) = pool.worker_pids()
        os.kill(pid, signal.SIGKILL)
        outcome = future.result(timeout=30)
        assert (outcome.status, outcome.stdout) == (RunStatus.OK, b"slept\n")
        counts = take_counts(pool)
        assert (counts["runs"], counts["retries"]) == (2, 1)
        assert counts["recycled_workers"] == 1
        assert counts["infra_errors"] == 0


def test_a_blocked_run_is_the_last_of_its_worker():
    with SandboxPool(1) as pool:
        if pool.backend_name == "unsafe":
            pytest.skip("nothing is blocked without a jail")
        blocked = "import ctypes\nctypes.CDLL(None).unshare(0)"
        for source in ("print(1)", blocked, "print(1)", "[0] * 10**9"):
            pool.submit(RunRequest(source=source)).result()
        counts = take_counts(pool)
        assert counts["status/blocked"] == counts["status/memory_limit"] == 1
        assert (counts["recycled_workers"], counts["retries"]) == (1, 0)


def test_a_worker_that_always_dies_gives_an_infra_error_and_nothing_else(monkeypatch):
    tally = Tally()
    crew = Crew(1, choose_backend(), tally=tally)

    def kill_at_once(slot):
        worker = Crew._worker(crew, slot)
        processes = descendants(worker.pid)
        worker.kill()
        assert wait_until(lambda: not any(map(is_alive, processes)))
        return worker

    try:
        monkeypatch.setattr(crew, "_worker", kill_at_once)
        with pytest.raises(InfraError, match=f"after {MAX_ATTEMPTS} attempts"):
            crew.submit(RunRequest(source="print(1)")).result(timeout=60)
        monkeypatch.undo()
        outcome = crew.submit(RunRequest(source="print(1)")).result(timeout=60)
        assert outcome.stdout == b"1\n"
        totals = tally.totals()
        assert totals["infra_errors"] == (1.0, 1.0)
        assert totals["status/ok"] == (1.0, 1.0)
    finally:
        crew.close()


def test_workers_killed_at_random_lose_and_double_nothing():
    """Twelve kills over eighty runs; each answer is its own program's."""
    source = "import time\nn = int(input())\ntime.sleep(0.02)\nprint(n * n)"
    with SandboxPool(2) as pool:
        futures = [
            pool.submit(RunRequest(source=source, stdin=str(n))) for n in range(80)
        ]
        for n in range(12):
            assert wait_until(pool.worker_pids)
            for pid in pool.worker_pids()[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.15)
        for n, future in enumerate(futures):
            try:
                assert future.result(timeout=60).stdout == b"%d\n" % (n * n)
            except InfraError:
                pass  # three kills in a row may hit one run: counted, never scored
        counts = take_counts(pool)
        assert counts["runs"] + counts["infra_errors"] == 80
        assert counts["retries"] >= 1 and counts["recycled_workers"] >= 1


def test_leaving_the_pool_ends_all_processes_and_running_work():
    before = set(descendants(os.getpid()))
    with SandboxPool(2) as pool:
        future = pool.submit(RunRequest(source="import time\ntime.sleep(60)"))
        assert wait_until(future.running) and wait_until(pool.worker_pids)
        mine = set(descendants(os.getpid())) - before
        assert mine
    with pytest.raises(InfraError):
        future.result(timeout=1)
    assert wait_until(lambda: not any(map(is_alive, mine)))
    with pytest.raises(UserError, match="closed"):
        pool.submit(SLEEPER)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("backend", ["auto", "bare"])
def test_a_driver_that_dies_leaves_no_orphan(end, backend):
    script = (
        "import time\n"
        "from simex.sandbox.pool import SandboxPool\n"
        "from simex.sandbox.outcome import RunRequest\n"
        f"with SandboxPool(2, {backend!r}) as pool:\n"
        "    for _ in range(2):\n"
        "        pool.submit(RunRequest(source='import time\\ntime.sleep(60)'))\n"
        "    while len(pool.worker_pids()) < 2: time.sleep(0.01)\n"
        "    time.sleep(0.3)\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=pathlib.Path(__file__).parents[2],
    )
    with driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"up\n"
        children = descendants(driver.pid)
        assert len(children) >= 5  # a driver and two workers with a program each
        driver.send_signal(end)
        driver.wait(timeout=20)
    assert wait_until(lambda: not any(map(is_alive, children)))


def test_many_runs_leave_no_descriptor_behind(best_pool):
    list(best_pool.run_all([RunRequest(source="print(1)")] * 20))
    before = len(os.listdir("/proc/self/fd"))
    outcomes = list(best_pool.run_all([RunRequest(source="print(1)")] * 300))
    assert [o.stdout for o in outcomes] == [b"1\n"] * 300
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_worker_whose_fork_server_grows_is_replaced(monkeypatch):
    monkeypatch.setattr("simex.sandbox.worker._MAX_GROWTH_BYTES", -1)
    tally = Tally()
    crew = Crew(1, choose_backend(), tally=tally)
    try:
        for n in range(3):
            outcome = crew.submit(RunRequest(source=f"print({n})")).result(timeout=60)
            assert outcome.stdout == b"%d\n" % n
        assert wait_until(lambda: tally.totals()["recycled_workers"] == (3.0, 3.0))
    finally:
        crew.close()


def test_answers_come_in_while_the_trainer_does_something_else(best_pool):
    futures = [best_pool.submit(RunRequest(source=f"print({n})")) for n in range(20)]

    def spin() -> bool:  # never waits for anything
        return sum(range(200_000)) > 0 and all(f.done() for f in futures)

    deadline = time.monotonic() + 60
    while not spin():
        assert time.monotonic() < deadline
    assert [f.result().stdout for f in futures] == [b"%d\n" % n for n in range(20)]


def test_metrics_are_sums_with_weights_since_they_were_taken_last():
    with SandboxPool(1) as pool:
        list(pool.run_all([RunRequest(source="print(1)")] * 3))
        list(pool.run_all([RunRequest(source="print(1")] * 1))
        metrics = pool.take_metrics()
        assert metrics["status/ok"] == (3.0, 4.0)
        assert metrics["status/compile_error"] == (1.0, 4.0)
        assert metrics["retries"] == metrics["driver_restarts"] == (0.0, 1.0)
        for name in ("queue_secs", "run_secs", "latency_secs"):
            total, weight = metrics[name]
            assert total > 0 and weight == 4.0
        assert metrics["latency_secs"][0] > metrics["run_secs"][0]
        cases = (case("1", "1"), case("2", "0"), case("3", "0"))
        item = JudgeItem(tests=cases, checker="lines", source="print(input())")
        pool.submit_judgement(item, early_stop=True).result(timeout=60)
        metrics = pool.take_metrics()
        assert metrics["verdict/accepted"] == (1.0, 2.0)
        assert metrics["verdict/wrong_output"] == (1.0, 2.0)
        assert metrics["judge_secs"][1] == 2.0
        assert metrics["remembered_runs"] == (0.0, 2.0)
        assert set(pool.take_metrics()) == {
            "retries",
            "infra_errors",
            "recycled_workers",
            "driver_restarts",
        }


def test_a_starved_run_is_not_a_time_limit(best_pool):
    """Three times as many busy programs as cores: CPU time still decides."""
    busy = "x = 0\nwhile x < 2_000_000: x += 1\nprint(x)"  # about 0.1 s of CPU
    with SandboxPool(6) as pool:
        outcomes = list(
            pool.run_all(
                RunRequest(source=busy, limits=Limits(cpu_secs=2)) for _ in range(12)
            )
        )
    assert [o.status for o in outcomes] == [RunStatus.OK] * 12


@pytest.mark.parametrize("num_workers", [0, -1])
def test_a_pool_of_no_workers_is_refused(num_workers):
    with pytest.raises(UserError, match="at least 1"):
        SandboxPool(num_workers)
