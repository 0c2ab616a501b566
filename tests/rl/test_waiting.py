"""Nobody waits in silence, and nobody waits for ever."""

import time
from concurrent.futures import Future

import pytest

from simex.core.errors import InfraError
from simex.rl import deadline
from simex.rl import watchdog as watchdog_
from simex.rl.deadline import PoolWithDeadline
from simex.rl.watchdog import Watchdog


class Clock:
    """Moved by the test; it counts how often somebody looks at it."""

    def __init__(self):
        self.now, self.looks = 0.0, 0

    def monotonic(self):
        self.looks += 1
        return self.now

    def move(self, secs):
        """Returns when the time has been looked at, and what was due was said."""
        self.now += secs
        wanted, patience = self.looks + 2, time.monotonic() + 20
        while self.looks < wanted:
            assert time.monotonic() < patience, "nobody watches"
            time.sleep(0.001)


def test_a_long_wait_is_named_and_a_short_one_is_not(monkeypatch):
    """Longer than 0.04 s is long; named again at twice that, 0.08 s."""
    clock, lines = Clock(), []
    monkeypatch.setattr(watchdog_, "time", clock)
    both = ["train step 3", "8 rollouts of solve"]
    with Watchdog(stall_secs=0.04, say=lines.append) as watchdog:
        with watchdog.awaiting("a moment"):
            clock.move(0.03)
        with watchdog.awaiting(both[0]), watchdog.awaiting(both[1]):
            # After 0.05, 0.07 and 0.09 s.
            for secs, expected in ((0.05, both), (0.02, both), (0.02, both * 2)):
                clock.move(secs)
                assert [line.partition(": ")[2] for line in lines] == expected
        clock.move(1.0)
    assert len(lines) == 4


class Pool:
    """Futures that the test answers by hand."""

    num_workers = 3

    def __init__(self):
        self.futures = []

    def submit(self, request):
        self.futures.append(Future())
        return self.futures[-1]

    submit_judgement = submit


def test_answers_and_errors_pass_through():
    pool = Pool()
    with PoolWithDeadline(pool, deadline_secs=60.0) as patient:
        answered, failed = patient.submit("a"), patient.submit_judgement("b")
        pool.futures[0].set_result("done")
        pool.futures[1].set_exception(InfraError("worker died"))
        assert answered.result(20) == "done"
        with pytest.raises(InfraError, match="worker died"):
            failed.result(20)
        assert patient.num_workers == 3 and patient.num_missed == 0


def test_a_call_without_an_answer_is_given_up_and_a_late_answer_thrown_away():
    pool = Pool()
    with PoolWithDeadline(pool, deadline_secs=0.05) as patient:
        lost = patient.submit("a")
        with pytest.raises(InfraError, match=r"no answer within 0\.05 s"):
            lost.result(20)
        pool.futures[0].set_result("too late")
        with pytest.raises(InfraError):
            lost.result(0)
        assert patient.num_missed == 1


def test_what_nobody_waits_for_any_more_is_taken_back():
    pool = Pool()
    with PoolWithDeadline(pool, deadline_secs=60.0) as patient:
        assert patient.submit("a").cancel() and pool.futures[0].cancelled()


def test_while_others_are_answered_a_call_may_wait(monkeypatch):
    """Called at 0 s, another answer at 50 s: with 60 s it is given up at 110 s."""
    clock = {"now": 0.0}
    monkeypatch.setattr(deadline.time, "monotonic", lambda: clock["now"])
    pool = Pool()
    with PoolWithDeadline(pool, deadline_secs=60.0) as patient:
        slow, quick = patient.submit("slow"), patient.submit("quick")
        clock["now"] = 50.0
        pool.futures[1].set_result("done")
        assert quick.result(20) == "done"
        clock["now"] = 109.0
        assert patient.secs_left() == 1.0 and not slow.done()
        clock["now"] = 110.0
        patient.submit("another")  # the thread looks at the clock
        with pytest.raises(InfraError, match="no answer within 60 s"):
            slow.result(20)
        assert patient.num_missed == 1
