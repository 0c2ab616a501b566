"""Says on stderr what a run has been waiting for, once it waits for long."""

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator

from simex.core.progress import format_secs


class Watchdog:
    """Names what is under way for longer than `stall_secs`, and again at twice that.

    It ends nothing: a long wait may be right. Waiting without a word never is.

    Example:
        with Watchdog(stall_secs=120) as watchdog:
            with watchdog.awaiting("48 rollouts of solve"):
                ...
    """

    def __init__(
        self, *, stall_secs: float, say: Callable[[str], None] | None = None
    ) -> None:
        """Starts watching.

        Args:
          stall_secs: how long a wait may last unmentioned.
          say: gets each line; None writes it to stderr.
        """
        self._stall_secs = stall_secs
        self._say = say or _write_line
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._awaited: dict[int, tuple[str, float, float]] = {}
        """What, since when, and after how many seconds it is mentioned next."""

        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def awaiting(self, what: str) -> Iterator[None]:
        """The block waits for `what`; blocks may nest and run in several threads."""
        number = next(self._numbers)
        with self._lock:
            self._awaited[number] = (what, time.monotonic(), self._stall_secs)
        try:
            yield
        finally:
            with self._lock:
                del self._awaited[number]

    def close(self) -> None:
        """Stops watching."""
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> "Watchdog":  # noqa: PYI034 (beartype)
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._ended.wait(min(self._stall_secs / 4, 5.0)):
            for line in self._overdue():
                self._say(line)

    def _overdue(self) -> list[str]:
        now = time.monotonic()
        lines = []
        with self._lock:
            for number, (what, since, limit) in self._awaited.items():
                if now - since >= limit:
                    lines.append(
                        f"still waiting after {format_secs(now - since)}: {what}"
                    )
                    self._awaited[number] = (what, since, 2 * limit)
        return lines


def _write_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
