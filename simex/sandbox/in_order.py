"""Keep a bounded number of pieces of work in flight and hand back results in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from simex.core.errors import InfraError

Item = TypeVar("Item")
Result_co = TypeVar("Result_co", covariant=True)


class Pending(Protocol[Result_co]):
    """What `concurrent.futures.Future` offers of use here."""

    def result(self) -> Result_co: ...

    def done(self) -> bool: ...

    def cancel(self) -> bool: ...


def in_order(
    submit: Callable[[Item], Pending[Result_co]],
    items: Iterable[Item],
    *,
    max_in_flight: int,
) -> Iterator[Result_co | InfraError]:
    """One result for each item, in the items' order; `items` may never end.

    An item is taken only while fewer than `max_in_flight` are under way. What has not
    begun is cancelled when the caller stops early.
    """
    pending: collections.deque[Pending[Result_co]] = collections.deque()
    try:
        for item in items:
            pending.append(submit(item))
            while pending and (len(pending) >= max_in_flight or pending[0].done()):
                yield _settle(pending.popleft())
        while pending:
            yield _settle(pending.popleft())
    finally:
        for leftover in pending:
            leftover.cancel()


def _settle(work: Pending[Result_co]) -> Result_co | InfraError:
    try:
        return work.result()
    except InfraError as error:
        return error
