"""Counts compilations, and warns of one that nobody expects.

A program that compiles again and again is the usual reason of a slow run: a batch of
another length, an array on other devices, a setting that became a constant. jax reports
each compilation to a listener in the thread that asked for it; so watching costs a call
nothing but two readings of a number.
"""

import collections
import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"  # read from disk counts too

P = ParamSpec("P")
R = TypeVar("R")


class RecompileWarning(UserWarning):
    """A watched program compiled for no new shape, or for one shape too many."""


class _ThreadCount(threading.local):
    """Compilations that this thread asked for."""

    number: int = 0


_this_thread = _ThreadCount()
_of_process: collections.Counter[str] = collections.Counter()
_lock = threading.Lock()


def num_compiles() -> int:
    """Programs that this process compiled, or read compiled from disk."""
    return _of_process["number"]


def compile_secs() -> float:
    """Seconds that they took, summed over threads."""
    return _of_process["milliseconds"] / 1000


def watch_compiles(
    function: Callable[P, R], name: str, *, max_shapes: int | None = None
) -> Callable[P, R]:
    """The jitted `function`, warning when it compiles unexpectedly.

    Expected is one compilation for each new set of shapes and types of its arguments.

    Args:
        function: from `jax.jit`.
        name: of the program, for the warning.
        max_shapes: how many sets of shapes it may see; None for any number.

    Example: ``step = watch_compiles(jax.jit(step), "train step", max_shapes=1)``.
    """
    seen: collections.Counter[tuple[str, ...]] = collections.Counter()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        before = _this_thread.number
        result = function(*args, **kwargs)
        if _this_thread.number != before:
            shapes = _shapes((args, kwargs))
            seen[shapes] += 1
            if seen[shapes] > 1 or len(seen) > (max_shapes or len(seen)):
                _warn(name, shapes, seen)
        return result

    return call


def unwatched(function: Callable[..., Any]) -> Any:
    """The jitted function, watched or not, e.g. to be lowered."""
    return function if hasattr(function, "lower") else vars(function)["__wrapped__"]


def _warn(
    name: str,
    shapes: tuple[str, ...],
    seen: collections.Counter[tuple[str, ...]],
) -> None:
    others = [other for other in seen if other != shapes]
    if seen[shapes] > 1 or not others:
        why = "shapes it had compiled for; types or placement on devices must differ"
    else:
        # Params alone would fill the screen: say what differs from the time before.
        why = "new shapes: " + ", ".join(
            f"{new} (was {old})" for old, new in zip(others[-1], shapes) if old != new
        )
    warnings.warn(
        f"The {name} should have been compiled already, but it compiled for the "
        f"{_ordinal(seen.total())} time, for {why}. Each compilation stops the run "
        "for seconds to minutes: keep shapes and shardings of its inputs the same.",
        RecompileWarning,
        stacklevel=3,
    )


def _shapes(tree: Any) -> tuple[str, ...]:
    def describe(leaf: Any) -> str:
        if hasattr(leaf, "shape"):
            return f"{leaf.dtype}{list(leaf.shape)}"
        return repr(leaf)  # a static argument

    return tuple(
        f"{jax.tree_util.keystr(path)} {describe(leaf)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    )


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _listen(event: str, duration_secs: float, **kwargs: Any) -> None:
    if event == _COMPILED:
        _this_thread.number += 1
        with _lock:
            _of_process["number"] += 1
            _of_process["milliseconds"] += round(1000 * duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)
