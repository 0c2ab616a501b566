"""A judge that fails, hangs or is late for one call in ten, in a run of the loop.

The seam is the pool: its futures are answered by threads of the test. Nothing runs a
program here; what the real pool does about a dying worker is tested with the sandbox.
"""

import dataclasses
import json
import threading
from concurrent.futures import Future

import pytest

from simex.core.errors import InfraError, UserError
from tests.rl.toy import ToyObjective, make_toy, read_metrics, train

LATE_SECS = 0.3
DEADLINE_SECS = 3.0  # hung calls are given up then


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged(ToyObjective):
    """Asks the pool for each answer's reward, as an objective asks it for verdicts."""

    def judge(self, texts, *, pool, seed_path):
        return [_settle(f) for f in [pool.submit(text) for _, text in texts]]


def _settle(future):
    try:
        return future.result()
    except InfraError:
        return None


class FaultyPool:
    """Rewards digits; call number n of a step ends as `fault(n)` says."""

    def __init__(self, fault=lambda number: "good"):
        self.fault, self.number, self.faults = fault, 0, []
        self._timers = []

    def submit(self, text):
        kind, future = self.fault(self.number), Future()
        self.number += 1
        self.faults.append(kind)
        reward = float(text[:1].isdigit())
        if kind == "good":
            future.set_result(reward)
        elif kind == "fails":
            future.set_exception(InfraError("the worker died"))
        elif kind == "late":
            self._timers.append(threading.Timer(LATE_SECS, future.set_result, [reward]))
            self._timers[-1].start()
        return future  # of "hangs": never answered

    def take_metrics(self):
        return {"infra_errors": (float(self.faults.count("fails")), 1.0)}

    def close(self):
        for timer in self._timers:
            timer.join()


def one_in_ten(number):
    """Of every 30 calls one fails, one hangs and one is late."""
    return {4: "fails", 14: "hangs", 24: "late"}.get(number % 30, "good")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"))


def run(folder, toy, pool, *, num_steps=1, **settings):
    settings = {"answer_deadline_secs": DEADLINE_SECS, "groups_recorded": 8} | settings
    train(folder, toy, num_steps=num_steps, objective=Judged(), pool=pool, **settings)
    pool.close()
    return read_metrics(folder)


def rewards_of(folder):
    lines = (folder / "rollouts" / "step_00000.jsonl").read_text().splitlines()
    return [r["reward"] for line in lines for r in json.loads(line)["rollouts"]]


def test_faults_change_no_reward_hang_nothing_and_show_in_the_counts(tmp_path, toy):
    pool = FaultyPool(one_in_ten)
    faulty = run(tmp_path / "faulty", toy, pool)
    run(tmp_path / "clean", toy, FaultyPool())
    lost = {"fails": None, "hangs": None}
    expected = [
        lost.get(kind, reward)
        for kind, reward in zip(
            pool.faults, rewards_of(tmp_path / "clean"), strict=True
        )
    ]
    assert rewards_of(tmp_path / "faulty") == expected
    # Calls 4, 34 fail and 14, 44 hang, of 64; 24 and 54 are only late.
    assert expected.count(None) == 4
    assert faulty[0]["toy/lost_to_infra"] == 4 / 64
    assert faulty[0]["batch/rollouts"] == 60
    assert faulty[0]["sandbox/deadlines_missed"] == 2
    assert faulty[0]["sandbox/infra_errors"] == 2


def test_a_sandbox_that_goes_on_failing_stops_the_run_and_says_so(tmp_path, toy):
    settings = {"max_lost_share": 0.2, "max_lost_steps": 2, "steps_between_saves": 1}
    for _ in range(2):  # and again where it is continued: the first step is remembered
        pool = FaultyPool(lambda number: "fails" if number % 2 else "good")
        with pytest.raises(UserError, match=r"32 of 64 were.*2 train steps in a row"):
            run(tmp_path, toy, pool, num_steps=5, **settings)
        assert len(read_metrics(tmp_path)) == 1  # the first such step was still made
