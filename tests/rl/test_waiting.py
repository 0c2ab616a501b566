"""Nobody waits in silence, and nobody waits for ever."""

import threading
import time
from concurrent.futures import Future

import pytest

from simex.core.errors import InfraError
from simex.rl import deadline
from simex.rl.deadline import PoolWithDeadline
from simex.rl.watchdog import Watchdog


def test_a_long_wait_is_named_and_a_short_one_is_not():
    lines, heard = [], threading.Event()

    def say(line):
        lines.append(line)
        heard.set()

    with Watchdog(stall_secs=0.05, say=say) as watchdog:
        with watchdog.awaiting("a moment"):
            pass
        with (
            watchdog.awaiting("train step 3"),
            watchdog.awaiting("8 rollouts of solve"),
        ):
            assert heard.wait(20)
            while len(lines) < 2:
                time.sleep(0.01)
    assert not any("a moment" in line for line in lines)
    assert any("8 rollouts of solve" in line for line in lines)


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
