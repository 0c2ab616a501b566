"""Batches of rollouts for the trainer: made when asked for, or ahead of time.

With a staleness of 0 nothing runs beside the update, and the run is a function of its
seed. Otherwise one thread collects while the trainer updates: batch n+1 is sampled and
judged while batch n becomes gradients, by the newest params that there are when it
begins (asynchronous RL as in arXiv 2410.18252 and AReaL, arXiv 2505.24298).

One batch ahead this too is a function of the seed: batch n+1 is of the params that batch
n updates, however fast either is. Further ahead it depends on how fast they are. What
waits for its turn is saved with a checkpoint, so nothing of it is collected twice.
"""

import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from simex.core.errors import UserError
from simex.rl.collection import Collected
from simex.rl.watchdog import Watchdog


@dataclasses.dataclass(frozen=True, kw_only=True)
class Staleness:
    """How old rollouts may be, in train steps."""

    max_steps: int = 0  # older ones are dropped and counted; 0: on-policy
    batches_ahead: int | None = (
        None  # collected before they are needed; None: max_steps
    )

    def __post_init__(self) -> None:
        """Raises UserError for a negative number."""
        if self.max_steps < 0 or self.num_ahead < 0:
            raise UserError(
                "max_staleness and batches_ahead must be at least 0; got "
                f"{self.max_steps} and {self.batches_ahead}."
            )

    @property
    def num_ahead(self) -> int:
        return self.max_steps if self.batches_ahead is None else self.batches_ahead


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """A batch that is fresh enough, and what was thrown away before it."""

    batch: Collected
    num_dropped: int = 0  # rollouts


# (params, train steps behind them) -> the next batch, sampled by them
Collect = Callable[[Any, int], Collected]


class Stream(Protocol):
    """Where the loop gets its batches from."""

    def take(self, step: int, params: Any) -> Taken:
        """The batch of train step `step`, whose update begins from `params`."""

    def waiting(self, num_done: int) -> list[Collected]:
        """The batches that are next after so many train steps, for a checkpoint.

        Waits for the first of them; the trainer does so anyway before it can go on.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicyStream:
    """Each batch is sampled by the params that it updates."""

    collect: Collect

    def take(self, step: int, params: Any) -> Taken:
        """Collects now."""
        return Taken(batch=self.collect(params, step))

    def waiting(self, num_done: int) -> list[Collected]:
        """None ever is."""
        return []


class AsyncStream:
    """Batches collected in a thread, at most `staleness.num_ahead` before their turn.

    No more than that is in memory, and with `batches_ahead` left alone nothing can
    become too old.
    """

    def __init__(
        self,
        collect: Collect,
        *,
        staleness: Staleness,
        watchdog: Watchdog,
        executor: ThreadPoolExecutor,
        waiting: Sequence[Collected] = (),
    ) -> None:
        """Nothing is collected before the first `take`; `waiting` are of a checkpoint."""
        self._collect = collect
        self._staleness, self._watchdog = staleness, watchdog
        self._executor = executor
        self._pending: collections.deque[Future[Collected]] = collections.deque()
        self._newest: tuple[int, Any] = (0, None)
        self._taken: int | None = None  # the train step that has the first of `pending`
        for batch in waiting:
            self._pending.append(Future())
            self._pending[-1].set_result(batch)

    def take(self, step: int, params: Any) -> Taken:
        """Publishes `params`, then waits for a batch that is fresh enough."""
        # A copy: the update donates the buffers of its own.
        self._newest = (step, jax.tree.map(jnp.copy, params))
        if self._taken is not None and self._taken < step:
            self._taken = None
            self._pending.popleft()  # not before: its train step may have been stopped
        num_dropped = 0
        while True:
            while len(self._pending) <= self._staleness.num_ahead:
                self._pending.append(self._submit())
            with self._watchdog.awaiting(f"the rollouts of train step {step}"):
                batch = self._pending[0].result()
            if step - batch.version <= self._staleness.max_steps:
                self._taken = step
                return Taken(batch=batch, num_dropped=num_dropped)
            self._pending.popleft()
            num_dropped += sum(len(group.rollouts) for group in batch.groups)

    def waiting(self, num_done: int) -> list[Collected]:
        """The first batch, and all after it that are there already."""
        is_used = self._taken is not None and self._taken < num_done
        pending = list(self._pending)[is_used:]
        if pending:
            with self._watchdog.awaiting("the rollouts that a checkpoint is to hold"):
                wait([pending[0]])
        done = itertools.takewhile(
            lambda f: f.done() and f.exception() is None, pending
        )
        return [future.result() for future in done]

    def _submit(self) -> "Future[Collected]":
        if self._staleness.num_ahead > 1:
            return self._executor.submit(self._collect_newest)
        # The thread might begin late, and the trainer have newer params by then.
        version, params = self._newest
        return self._executor.submit(self._collect, params, version)

    def _collect_newest(self) -> Collected:
        version, params = self._newest
        return self._collect(params, version)


@contextlib.contextmanager
def open_stream(
    collect: Collect,
    *,
    staleness: Staleness,
    watchdog: Watchdog,
    waiting: Sequence[Collected] = (),
) -> Iterator[Stream]:
    """The stream that `staleness` asks for; its thread ends with the block.

    `waiting` are the batches that a checkpoint held; `collect` goes on after them.
    """
    if staleness.num_ahead == 0:
        yield OnPolicyStream(collect=collect)
        return
    executor = ThreadPoolExecutor(1, thread_name_prefix="rollouts")
    try:
        yield AsyncStream(
            collect,
            staleness=staleness,
            watchdog=watchdog,
            executor=executor,
            waiting=waiting,
        )
    finally:
        with watchdog.awaiting("the collecting thread to end"):
            executor.shutdown(cancel_futures=True)
