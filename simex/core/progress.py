"""Progress of a loop: a bar on a terminal, plain lines everywhere else."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

SECS_BETWEEN_LINES = 10.0


def progress(
    iterable: Iterable[T],
    total: int | None = None,
    *,
    label: str,
    unit: str = "it",
) -> Iterator[T]:
    """Yields the items of `iterable` and says on stderr how far it is.

    Args:
      iterable: what to go through.
      total: how many items come; taken from `len(iterable)` where it has one.
      label: what is being made, e.g. "traces".
      unit: one item, in the singular, e.g. "run".

    Example: ``for run in progress(runs, total=500, label="traces", unit="run")``
    prints ``traces: 130/500 run (26 %), 13.0 run/s, 28 s left`` every ten seconds.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if sys.stderr.isatty():
        return _with_bar(iterable, total, label=label, unit=unit)
    return _with_lines(iterable, total, label=label, unit=unit)


def _with_bar(
    iterable: Iterable[T], total: int | None, *, label: str, unit: str
) -> Iterator[T]:
    import tqdm  # here, so that `simex --help` does not wait for it

    with tqdm.tqdm(
        iterable, total=total, desc=label, unit=unit, dynamic_ncols=True
    ) as bar:
        yield from bar


def _with_lines(
    iterable: Iterable[T], total: int | None, *, label: str, unit: str
) -> Iterator[T]:
    started = last_line = time.monotonic()
    done = 0
    for item in iterable:
        yield item
        done += 1
        now = time.monotonic()
        if now - last_line >= SECS_BETWEEN_LINES and done != total:
            last_line = now
            _say(line_under_way(done, total, now - started, label=label, unit=unit))
    elapsed_secs = time.monotonic() - started
    _say(
        f"{label}: {done} {unit} in {format_secs(elapsed_secs)} "
        f"({_rate(done, elapsed_secs):.1f} {unit}/s)"
    )


def line_under_way(
    done: int, total: int | None, elapsed_secs: float, *, label: str, unit: str
) -> str:
    """One line about a loop that goes on; the time left assumes a steady rate."""
    rate = _rate(done, elapsed_secs)
    if total is None:
        return f"{label}: {done} {unit}, {rate:.1f} {unit}/s"
    left = "?" if rate == 0 else format_secs(max(total - done, 0) / rate)
    percent = 100 * done // max(total, 1)
    return (
        f"{label}: {done}/{total} {unit} ({percent} %), "
        f"{rate:.1f} {unit}/s, {left} left"
    )


def format_secs(secs: float) -> str:
    """A duration for people: "9.5 s", "4 min 05 s", "2 h 03 min"."""
    if secs < 59.95:
        return f"{secs:.1f} s"
    minutes, whole_secs = divmod(round(secs), 60)
    if minutes < 60:
        return f"{minutes} min {whole_secs:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _rate(done: int, elapsed_secs: float) -> float:
    return done / elapsed_secs if elapsed_secs > 0 else 0.0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
