"""Estimates with a standard error and a 95 % bootstrap interval, both over problems.

The unit that is drawn again is the problem, since the samples of one problem are not
independent: many predictions for one program are one observation of that program. Twins
count as one problem: what shares a `composition` is solved or missed together.
"""

import dataclasses
import math
from collections.abc import Hashable, Sequence

import numpy as np

from simex.core.errors import UserError

NUM_DRAWS = 4000
_INDICES_AT_ONCE = 4_000_000  # 32 MB of int64: bounds the memory, not the result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number as it is printed: value, 95 % interval, and how much it rests on."""

    value: float
    low: float
    high: float
    n: int  # the number of values averaged (items, programs or problems)
    stderr: float  # clustered by problem; see `clustered_stderr`
    problems: int  # how many the values come from, twins counted once

    def as_dict(self) -> dict[str, float | int]:
        """A key for each field, the form of results.json."""
        return dataclasses.asdict(self)


def mean_with_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
) -> Estimate:
    """The mean of `values` with its standard error and a percentile bootstrap interval.

    Args:
        values: n numbers; 0/1 for rates.
        clusters: n ids of problems, or of their compositions; all values of one are
            drawn together. Without it every value is its own problem.
        seed: the same seed and values give the same interval, to the last bit.
        num_draws: bootstrap draws.

    When all values are equal the interval has no width, however small n is: read n.

    Raises UserError for no values, a value that is not finite, or other lengths.
    """
    values_n = _checked(values)
    totals_C, counts_C = _by_cluster(values_n, clusters)
    draws = _bootstrap_means(totals_C, counts_C, seed=seed, num_draws=num_draws)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(
        value=float(values_n.mean()),
        low=float(low),
        high=float(high),
        n=len(values_n),
        stderr=clustered_stderr(totals_C, counts_C),
        problems=len(totals_C),
    )


def clustered_stderr(totals_C: np.ndarray, counts_C: np.ndarray) -> float:
    """The standard error of a mean whose values come in C clusters.

    With r_c the sum over cluster c of (value - mean) it is
    ``sqrt(C / (C - 1) * sum_c r_c^2) / n`` (arXiv 2411.00640, section 2.2, with the
    correction for few clusters, so that clusters of one value give the textbook
    ``s / sqrt(n)``). One cluster says nothing about its spread: 0.
    """
    num = len(totals_C)
    if num < 2:
        return 0.0
    residuals_C = totals_C - counts_C * (totals_C.sum() / counts_C.sum())
    squares = float(np.sum(residuals_C**2))
    return math.sqrt(num / (num - 1) * squares) / float(counts_C.sum())


def paired_difference(
    values: Sequence[float],
    baseline: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
) -> Estimate:
    """mean(values) - mean(baseline) on the same items, with its interval.

    Items are paired by place, so what makes an item easy for both cancels out; two
    separate intervals that overlap say nothing about this one.

    Raises UserError as `mean_with_interval` does.
    """
    if len(values) != len(baseline):
        raise UserError(
            "A paired difference needs the same items on both sides; got "
            f"{len(values)} and {len(baseline)} values."
        )
    differences = _checked(values) - _checked(baseline)
    return mean_with_interval(
        differences.tolist(), clusters, seed=seed, num_draws=num_draws
    )


def _checked(values: Sequence[float]) -> np.ndarray:
    values_n = np.asarray(values, dtype=np.float64)
    if values_n.ndim != 1 or len(values_n) == 0:
        raise UserError(
            "An estimate needs at least one value in a flat list; got an array of "
            f"shape {values_n.shape}."
        )
    if not np.isfinite(values_n).all():
        raise UserError("An estimate needs finite values; got NaN or infinity.")
    return values_n


def _by_cluster(
    values_n: np.ndarray, clusters: Sequence[Hashable] | None
) -> tuple[np.ndarray, np.ndarray]:
    """(sum of the values, number of values) of each of the C clusters."""
    if clusters is None:
        return values_n, np.ones_like(values_n)
    if len(clusters) != len(values_n):
        raise UserError(
            "Each value needs its problem's id; got "
            f"{len(clusters)} ids for {len(values_n)} values."
        )
    place = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    index_n = np.array([place[c] for c in clusters])
    totals_C = np.bincount(index_n, weights=values_n, minlength=len(place))
    return totals_C, np.bincount(index_n, minlength=len(place)).astype(np.float64)


def _bootstrap_means(
    totals_C: np.ndarray, counts_C: np.ndarray, *, seed: int, num_draws: int
) -> np.ndarray:
    """[num_draws] means, each over C clusters drawn with replacement."""
    rng = np.random.default_rng(seed)
    num = len(totals_C)
    at_once = max(1, _INDICES_AT_ONCE // num)
    means = []
    for start in range(0, num_draws, at_once):
        size = (min(at_once, num_draws - start), num)
        index_SC = rng.integers(num, size=size)
        means.append(totals_C[index_SC].sum(axis=1) / counts_C[index_SC].sum(axis=1))
    return np.concatenate(means)
