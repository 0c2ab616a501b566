"""Ctrl-C and SIGTERM, kept away from the middle of an update."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


# Of the blocks of `signals_at_end` that are under way, each with the signals it noted.
_blocks: list[list[int]] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what stops for Ctrl-C stops for it."""


def is_told_to_stop() -> bool:
    """Whether a signal came that will take effect at the end of a `signals_at_end`."""
    return any(_blocks)


@contextlib.contextmanager
def signals_at_end() -> Iterator[None]:
    """A signal that comes during the block takes effect at its end.

    Example: ``with signals_at_end(): state = update(state); step += 1``. Whoever catches
    KeyboardInterrupt around it finds `state` and `step` of the same moment, and can save
    them. Outside the main thread, which gets no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    _blocks.append(came)
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        _blocks.pop()
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
