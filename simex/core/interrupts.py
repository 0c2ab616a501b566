"""Ctrl-C and SIGTERM, kept away from the middle of an update."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AGAIN_SECS = 0.1


# Of the blocks of `signals_at_end` that are under way, each with the signals it noted.
_blocks: list[list[int]] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what stops for Ctrl-C stops for it."""


@contextlib.contextmanager
def signals_never_lost() -> Iterator[None]:
    """A signal that Python has to ignore comes once more, 0.1 s later.

    Where one comes while Python runs a callback of the garbage collector (jax has one) or
    a `__del__`, the exception that it raises is only printed: the process would go on.
    """
    before = sys.unraisablehook
    main = threading.main_thread().ident
    on_its_way: set[int] = set()

    def send(number: int) -> None:
        on_its_way.discard(number)  # first: it may be lost as well
        if main is not None:
            signal.pthread_kill(main, number)

    def again(ignored: "sys.UnraisableHookArgs") -> None:
        if not isinstance(ignored.exc_value, KeyboardInterrupt):
            before(ignored)
            return
        is_term = isinstance(ignored.exc_value, Terminated)
        number = signal.SIGTERM if is_term else signal.SIGINT
        if number in on_its_way:  # two would stop what the first one saves
            return
        on_its_way.add(number)
        timer = threading.Timer(_AGAIN_SECS, send, [number])
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


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
