"""Ctrl-C and SIGTERM, kept away from the middle of an update."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what stops for Ctrl-C stops for it."""


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

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
