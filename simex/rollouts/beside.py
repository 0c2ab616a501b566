"""Work of the sandbox that goes on in a thread while its caller decodes."""

import contextlib
import dataclasses
import queue
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Iterator[Item]], Generator[Result, None, None]]


@dataclasses.dataclass(kw_only=True)
class Waits:
    """Seconds in which nothing was decoded, since an answer was missing."""

    judge_secs: float = 0.0


class Beside(Generic[Item, Result]):
    """Hands items to `work` as they become known; to be used as a context manager.

    Example:
        with Beside(lambda items: judge_all(pool, items), waits=policy.waits) as judging:
            decode(on_done=judging.put)
            judgements = judging.results()
    """

    def __init__(self, work: Work[Item, Result], *, waits: Waits) -> None:
        """Starts `work` in a thread; it gives one result an item, in their order."""
        self._waits = waits
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._is_left = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._results = self._executor.submit(self._run, work)

    def put(self, item: Item) -> None:
        """Never waits."""
        self._items.put(item)

    def results(self) -> list[Result]:
        """All results, in the order of `put`; the wait for the last of them counts."""
        self._items.put(None)
        begin = time.monotonic()
        found = self._results.result()
        self._waits.judge_secs += time.monotonic() - begin
        return found

    def __enter__(self) -> "Beside[Item, Result]":
        return self

    def __exit__(self, *exception: object) -> None:
        """After an error what has not begun is given up."""
        self._is_left = True
        self._items.put(None)
        self._executor.shutdown()

    def _run(self, work: Work[Item, Result]) -> list[Result]:
        found = []
        items = iter(self._items.get, None)
        with contextlib.closing(work(items)) as results:
            for result in results:
                found.append(result)
                if self._is_left:
                    break
        return found
