"""Staleness: what is collected ahead, what is dropped, and by which params."""

import dataclasses
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import jax.numpy as jnp
import pytest

from simex.core.errors import InfraError, UserError
from simex.rl.collection import Collected, Cursor
from simex.rl.saved_run import Progress
from simex.rl.stream import AsyncStream, Staleness, open_stream
from simex.rl.watchdog import Watchdog
from simex.train.state import TrainState
from tests.rl.rollout_examples import MIXED

STATE = TrainState(params={}, opt_state=(), step=jnp.zeros((), int))


class Counting:
    """Collects at once, and remembers by which params; `gate` lets it wait."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.seen = []
        self.threads = set()

    def collect(self, params, version):
        assert self.gate.wait(30)
        self.seen.append((version, int(params["w"])))
        self.threads.add(threading.get_ident())
        cursor = Cursor(batch=len(self.seen))
        return Collected(groups=(MIXED,), cursor=cursor, version=version, secs=0.0)


@pytest.fixture
def watchdog():
    with Watchdog(stall_secs=60.0) as opened:
        yield opened


def take(stream, step):
    return stream.take(step, {"w": jnp.asarray(step)})


def opened(collector, watchdog, waiting=(), **staleness):
    return open_stream(
        collector.collect,
        staleness=Staleness(**staleness),
        watchdog=watchdog,
        waiting=waiting,
    )


def test_on_policy_every_batch_is_of_the_params_it_updates(watchdog):
    collector = Counting()
    with opened(collector, watchdog) as stream:
        taken = [take(stream, step) for step in range(3)]
    assert collector.seen == [(0, 0), (1, 1), (2, 2)]
    assert collector.threads == {threading.get_ident()}
    assert all(t.num_dropped == 0 for t in taken)


def test_the_next_batch_is_collected_while_this_one_is_updated(watchdog):
    collector = Counting()
    with opened(collector, watchdog, max_steps=1) as stream:
        take(stream, 0)
        # Nothing is asked for now; the thread collects the next batch all the same.
        for _ in range(200):
            if len(collector.seen) == 2:
                break
            threading.Event().wait(0.01)
        assert collector.seen == [(0, 0), (0, 0)]
        assert take(stream, 1).batch.version == 0  # one step stale
    assert threading.get_ident() not in collector.threads


@pytest.mark.parametrize("max_steps", [1, 2, 8])
def test_nothing_is_staler_than_it_may_be(watchdog, max_steps):
    collector = Counting()
    with opened(collector, watchdog, max_steps=max_steps) as stream:
        for step in range(20):
            taken = take(stream, step)
            assert step - taken.batch.version <= max_steps
            # In order, and none is skipped: nothing of it was dropped.
            assert taken.batch.cursor.batch == step + 1 and taken.num_dropped == 0


def test_what_is_too_stale_is_dropped_and_counted(watchdog):
    collector = Counting()
    with opened(collector, watchdog, max_steps=1, batches_ahead=3) as stream:
        take(stream, 0)
        while len(collector.seen) < 4:  # batches 1 to 3, all of version 0
            threading.Event().wait(0.01)
        taken = take(stream, 2)
    # Each batch has 1 group of 2 rollouts; all three waiting were of version 0.
    assert taken.num_dropped == 3 * 2 and taken.batch.version == 2


def test_one_batch_ahead_is_of_the_params_of_the_step_before(watchdog):
    """However late the thread begins: here only when newer params are there."""
    collector, gate = Counting(), threading.Event()
    collector.seen.append(None)
    first = Collected(groups=(), cursor=Cursor(batch=1), version=0, secs=0.0)
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait)
        stream = AsyncStream(
            collector.collect,
            staleness=Staleness(max_steps=1),
            watchdog=watchdog,
            executor=executor,
            waiting=[first],
        )
        assert take(stream, 0).batch is first
        threading.Timer(0.2, gate.set).start()
        assert take(stream, 1).batch.version == 0


def test_what_waits_goes_into_a_checkpoint_and_comes_out_of_it(watchdog):
    collector = Counting()
    with opened(collector, watchdog, max_steps=1) as stream:
        take(stream, 0)
        held = stream.waiting(1)
    assert [batch.cursor.batch for batch in held] == [2]  # waited for
    again = Counting()
    again.seen += [None, None]  # two batches were collected before
    with opened(again, watchdog, max_steps=1, waiting=held) as stream:
        taken = [take(stream, step).batch for step in (1, 2)]
    assert [(b.cursor.batch, b.version) for b in taken] == [(2, 0), (3, 1)]


def test_collecting_goes_on_behind_what_waits():
    batches = [
        Collected(groups=(), cursor=Cursor(batch=n), version=0, secs=0.0)
        for n in (4, 5)
    ]
    progress = Progress(step=3, state=STATE, cursor=Cursor(batch=3), waiting=batches)
    assert progress.next_cursor == Cursor(batch=5)
    assert dataclasses.replace(progress, waiting=()).next_cursor == Cursor(batch=3)


def test_a_wait_that_a_signal_ends_loses_no_batch(watchdog, monkeypatch):
    collector = Counting()
    with opened(collector, watchdog, max_steps=1) as stream:
        collector.gate.clear()
        monkeypatch.setattr(Future, "result", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            take(stream, 0)
        monkeypatch.undo()
        collector.gate.set()
        assert [b.cursor.batch for b in stream.waiting(0)][:1] == [1]


@pytest.mark.parametrize("max_steps", [1, 4])
def test_a_batch_is_there_until_its_train_step_is_done(watchdog, max_steps):
    with opened(Counting(), watchdog, max_steps=max_steps) as stream:
        for step in range(2):
            assert take(stream, step).batch.cursor.batch == step + 1
        # Stopped before its update, step 1 begins anew with the batch that it had.
        assert stream.waiting(1)[0].cursor.batch == 2
        # After it the next one is first, whether or not it was asked for yet.
        assert stream.waiting(2)[0].cursor.batch == 3
        assert take(stream, 2).batch.cursor.batch == 3


def _interrupted(self, timeout=None):
    raise KeyboardInterrupt


def test_a_failure_of_the_thread_reaches_the_trainer(watchdog):
    class Broken(Counting):
        def collect(self, params, version):
            raise InfraError("no sandbox")

    with (
        pytest.raises(InfraError, match="no sandbox"),
        opened(Broken(), watchdog, max_steps=2) as stream,
    ):
        take(stream, 0)


def test_negative_staleness_is_refused():
    with pytest.raises(UserError, match="at least 0"):
        Staleness(max_steps=-1)
