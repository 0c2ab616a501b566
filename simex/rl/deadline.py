"""A sandbox whose answers come by a deadline, or count as faults of ours."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

from simex.core.errors import InfraError


class PoolWithDeadline:
    """A sandbox pool as its callers know it, that leaves nobody waiting for ever.

    The pool ends programs that run too long; this is for the pool itself. A call that
    is not answered in time raises InfraError, so its rollout is dropped and counted,
    never rewarded; an answer that comes later is thrown away. While others are answered
    a call may wait: a long queue of slow programs is no fault of ours.
    """

    def __init__(self, pool: Any, *, deadline_secs: float) -> None:
        """Wraps `pool`; `deadline_secs` runs from the call or the last answer to any."""
        self._pool, self._deadline_secs = pool, deadline_secs
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Future]] = []  # by the time of the call
        self._last_answer_at = 0.0
        self._changed = threading.Condition()
        self._is_closed = False
        self.num_missed = 0  # calls that were given up
        self._thread = threading.Thread(target=self._give_up, daemon=True)
        self._thread.start()

    def submit(self, *arguments: Any, **settings: Any) -> Future:
        """As the pool's own, with the deadline."""
        return self._bound(self._pool.submit, *arguments, **settings)

    def submit_judgement(self, *arguments: Any, **settings: Any) -> Future:
        """As the pool's own, with the deadline."""
        return self._bound(self._pool.submit_judgement, *arguments, **settings)

    def close(self) -> None:
        """Ends the thread; the pool itself stays open, it is its owner's."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> "PoolWithDeadline":  # noqa: PYI034 (beartype)
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def _bound(
        self, submit: Callable[..., Future], *args: Any, **kwargs: Any
    ) -> Future:
        promised: Future = Future()
        called_at = time.monotonic()
        inner = submit(*args, **kwargs)
        inner.add_done_callback(lambda done: self._take(done, promised))
        # Whoever stops listening also takes back what has not begun.
        promised.add_done_callback(lambda p: p.cancelled() and inner.cancel())
        with self._changed:
            heapq.heappush(self._waiting, (called_at, next(self._numbers), promised))
            self._changed.notify()
        return promised

    def _take(self, done: Future, promised: Future) -> None:
        self._last_answer_at = time.monotonic()
        _pass_on(done, promised)

    def _give_up(self) -> None:
        with self._changed:
            while not self._is_closed:
                while self._waiting and self._waiting[0][2].done():
                    heapq.heappop(self._waiting)
                left = self.secs_left()
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                _, _, promised = heapq.heappop(self._waiting)
                self.num_missed += _fail(promised, self._deadline_secs)

    def secs_left(self) -> float | None:
        """Until the oldest call is given up; None where nobody waits."""
        if not self._waiting:
            return None
        since = max(self._waiting[0][0], self._last_answer_at)
        return since + self._deadline_secs - time.monotonic()


def _pass_on(done: Future, promised: Future) -> None:
    try:
        if done.cancelled():
            promised.cancel()
        elif (error := done.exception()) is not None:
            promised.set_exception(error)
        else:
            promised.set_result(done.result())
    except InvalidStateError:
        pass  # it was given up, or its caller cancelled it


def _fail(promised: Future, deadline_secs: float) -> bool:
    try:
        promised.set_exception(
            InfraError(f"The sandbox gave no answer within {deadline_secs:g} s.")
        )
    except InvalidStateError:
        return False  # answered or cancelled in this very moment
    return True
