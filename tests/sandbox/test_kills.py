"""SIGKILL of anything at any time: nothing is lost, doubled, changed or left behind."""

import collections
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from simex.core.errors import InfraError
from simex.problems.problem import TestCase, Visibility
from simex.sandbox.backends import why_not_working
from simex.sandbox.judge import JudgeItem
from simex.sandbox.outcome import RunRequest, Verdict
from simex.sandbox.pool import SandboxPool
from tests.sandbox import processes
from tests.sandbox.counts import take_counts

SQUARE = "import time\nn = int(input())\ntime.sleep(0.01)\nprint(n * n)"


def run_of(n: int) -> RunRequest:
    return RunRequest(source=SQUARE, stdin=str(n))


def judgement_of(n: int) -> JudgeItem:
    """Right on the first test, wrong on the second, and an error on the third."""
    expected = [(str(n), str(n * n)), (str(n + 1), "-1"), ("x", "0")]
    tests = tuple(
        TestCase(stdin=stdin, expected_stdout=stdout, visibility=Visibility.PRIVATE)
        for stdin, stdout in expected
    )
    return JudgeItem(tests=tests, checker="lines", source=SQUARE)


JAIL = ("driver", "worker", "fork server")
KINDS = {
    "bubblewrap": JAIL,
    "bubblewrap_userns": JAIL,
    "bare": ("driver", "fork server"),
}
VERDICTS = (Verdict.ACCEPTED, Verdict.WRONG_OUTPUT, Verdict.RUNTIME_ERROR)


class Killer:
    """Kills a driver, a worker's outermost process or a fork server, at random.

    After each kill it waits for an answer: on a busy machine nothing would ever get
    done between two kills. `spared` are children of ours that are none of its business.
    """

    def __init__(
        self,
        kinds: tuple[str, ...],
        num_kills: int,
        seed: int,
        *,
        spared: set[int],
        count_answers: Callable[[], int],
    ):
        self._kinds, self.num_left = kinds, num_kills
        self._spared, self._count_answers = spared, count_answers
        self._random = random.Random(seed)
        self._plan = [kinds[n % len(kinds)] for n in range(num_kills)]
        self._random.shuffle(self._plan)
        self.seen: set[processes.Identity] = set()
        self.kinds: collections.Counter[str] = collections.Counter()
        self._thread = threading.Thread(target=self._kill_all, daemon=True)
        self._thread.start()

    def is_at_it(self) -> bool:
        return self._thread.is_alive()

    def _kill_all(self) -> None:
        while self.num_left:
            num_answers = self._count_answers()
            while self._count_answers() == num_answers:
                self._look_on(0.02)
            self._look_on(self._random.uniform(0.0, 0.5))
            kind = self._plan[-self.num_left]
            while not (victims := self._find(kind)):
                self._look_on(0.02)
            try:
                os.kill(self._random.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.kinds[kind] += 1
            self.num_left -= 1

    def _find(self, kind: str) -> list[int]:
        return [pid for pid in self._look() if self._kind_of(pid) == kind]

    def _look_on(self, secs: float) -> None:
        deadline = time.monotonic() + secs
        while time.monotonic() < deadline:
            self._look()
            time.sleep(0.02)

    def _look(self) -> list[int]:
        pids = [
            pid
            for pid in processes.descendants(os.getpid(), spared=self._spared)
            if processes.is_alive(pid)
        ]
        self.seen |= {i for i in map(processes.identify, pids) if i is not None}
        return pids

    def _kind_of(self, pid: int) -> str:
        """By its depth below us: driver, then bwrap if there is one, fork server."""
        depth = 0
        while pid not in (0, os.getpid()):
            depth, pid = depth + 1, processes.parent_of(pid)
        return self._kinds[depth - 1] if pid and depth <= len(self._kinds) else ""


def check_kills(backend: str, num_kills: int, seed: int) -> None:
    if why_not_working(backend) is not None:
        pytest.skip(f"{backend} does not work here: {why_not_working(backend)}")
    answers: collections.Counter[int] = collections.Counter()
    futures = []
    others = set(processes.descendants(os.getpid()))
    with SandboxPool(2, backend) as pool:
        killer = Killer(
            KINDS[backend],
            num_kills,
            seed,
            spared=others,
            count_answers=lambda: len(answers),
        )
        n = 0
        while killer.num_left or n < 20:
            assert killer.is_at_it() or not killer.num_left
            while len(futures) - sum(answers.values()) > 60:
                time.sleep(0.01)
            n += 1
            future = (
                pool.submit(run_of(n))
                if n % 3
                else pool.submit_judgement(judgement_of(n))
            )
            future.add_done_callback(lambda _, n=n: answers.update([n]))
            futures.append((n, future))
        num_lost = sum(not is_right(n, f) for n, f in futures)
        # One that takes its time to die may have been hit twice.
        assert 1 <= take_counts(pool)["driver_restarts"] <= killer.kinds["driver"]
    assert len(answers) == len(futures) and set(answers.values()) == {1}
    # Several deaths of what runs it give an item up; that is counted and never scored.
    assert num_lost <= 0.05 * len(futures)
    assert processes.wait_until(
        lambda: not any(map(processes.is_same_alive, killer.seen))
    )
    print(f"{backend}: {dict(killer.kinds)}, {len(futures)} items, {num_lost} lost")


def is_right(n: int, future) -> bool:
    """False if it was given up; anything but the one right answer fails the test."""
    try:
        result = future.result(timeout=120)
    except InfraError:
        return False
    if n % 3:
        assert result.stdout == b"%d\n" % (n * n)
    else:
        assert result.verdicts == VERDICTS
    return True


@pytest.mark.parametrize("backend, seed", [("bubblewrap", 1), ("bare", 2)])
def test_a_few_kills_lose_double_and_change_nothing(backend, seed):
    check_kills(backend, 6, seed)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["bubblewrap", "bubblewrap_userns", "bare"])
def test_fifty_kills_lose_double_and_change_nothing(backend):
    check_kills(backend, 50, seed=3)


def test_a_driver_that_cannot_be_replaced_ends_the_pool_with_infra_errors(monkeypatch):
    with SandboxPool(1) as pool:
        future = pool.submit(RunRequest(source="import time\ntime.sleep(30)"))
        assert processes.wait_until(future.running)
        monkeypatch.setattr("sys.executable", "/bin/false")
        os.kill(pool.health().driver_pid, signal.SIGKILL)
        with pytest.raises(InfraError, match="lost its driver for good"):
            future.result(timeout=60)


def end_process(printed: bytes, expected: str) -> bool:
    os._exit(1)


def test_an_item_that_kills_every_driver_is_given_up_and_the_others_go_on():
    """A checker that ends its process stands for any fault of the driver's own."""
    tests = judgement_of(1).tests
    deadly = JudgeItem(tests=tests, checker=end_process, source=SQUARE)
    with SandboxPool(1) as pool:
        with pytest.raises(InfraError, match="again and again"):
            pool.submit_judgement(deadly).result(timeout=60)
        assert pool.submit(run_of(3)).result(timeout=60).stdout == b"9\n"
        assert take_counts(pool)["driver_restarts"] == 4


@pytest.mark.long
def test_ten_thousand_runs_are_ten_thousand_results_and_nothing_grows():
    check_nothing_grows(10_000)


def test_a_thousand_runs_are_a_thousand_results_and_nothing_grows():
    check_nothing_grows(1000)


def check_nothing_grows(num_runs: int) -> None:
    def look() -> dict[str, float]:
        pids = [os.getpid(), *processes.descendants(os.getpid())]
        assert not any(map(processes.is_zombie, pids))
        driver = pool.health().driver_pid
        servers = [p for p in pids if processes.parent_of(p) in pool.worker_pids()]
        return {
            "processes": len(pids),
            "our descriptors": processes.num_descriptors(os.getpid()),
            "driver's descriptors": processes.num_descriptors(driver),
            "driver's MiB": processes.resident_mib(driver),
            "servers' descriptors": sum(map(processes.num_descriptors, servers)),
            "servers' MiB": sum(map(processes.resident_mib, servers)),
        }

    with SandboxPool(2) as pool:
        requests = [RunRequest(source="print(input())", stdin=str(n)) for n in range(9)]
        list(pool.run_all(requests * 12))
        before = look()
        requests = (
            RunRequest(source="print(input())", stdin=str(n)) for n in range(num_runs)
        )
        stdouts = [outcome.stdout for outcome in pool.run_all(requests)]
        after = look()
    assert stdouts == [b"%d\n" % n for n in range(num_runs)]
    print(before, after)
    for name, value in before.items():
        slack = 4.0 if "MiB" in name else 0
        assert after[name] <= value + slack, (name, before, after)
