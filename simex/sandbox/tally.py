"""What the sandbox has done, as sums with weights, ready for the metrics of a run."""

import threading

Totals = dict[str, tuple[float, float]]  # name -> (total, weight)


class Tally:
    """Sums by name, safe to add to from any thread.

    Example: ``add("run_secs", 0.003)`` twice gives ``{"run_secs": (0.006, 2.0)}``: a
    mean is the total over the weight, a count is the total.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[str, list[float]] = {}

    def add(self, name: str, value: float = 1.0, *, weight: float = 1.0) -> None:
        with self._lock:
            entry = self._totals.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += weight

    def totals(self) -> Totals:
        with self._lock:
            return {name: (t, w) for name, (t, w) in self._totals.items()}


def add_totals(left: Totals, right: Totals) -> Totals:
    """The sum of both, name by name."""
    out = dict(left)
    for name, (total, weight) in right.items():
        before = out.get(name, (0.0, 0.0))
        out[name] = (before[0] + total, before[1] + weight)
    return out


def subtract_totals(later: Totals, earlier: Totals) -> Totals:
    """What has come since `earlier`; names to which nothing was added are left out."""
    out = {}
    for name, (total, weight) in later.items():
        before = earlier.get(name, (0.0, 0.0))
        if (total, weight) != before:
            out[name] = (total - before[0], weight - before[1])
    return out
