"""best@k and n@k: what a ranking of k candidates is worth.

best@k draws k of N candidates, submits the one that the ranker scores highest, and asks
whether it is right. n@k (AlphaCode, arXiv 2203.07814) submits the n highest. Both are
exact expectations over the draw and over the order inside ties; nothing is sampled.
"""

import math
from collections.abc import Sequence

import numpy as np

from simex.core.errors import UserError


def best_at_k(scores: Sequence[float], is_right: Sequence[bool], k: int) -> float:
    """The expected correctness of the top-scored of k drawn candidates, one problem.

    With the candidates sorted best first, rank i (1-based) is the best of a draw of k
    in C(N - i, k - 1) of the C(N, k) draws, so
    ``best@k = sum_i C(N - i, k - 1) * x_i / C(N, k)`` (rank_score@k of arXiv
    2404.00725). Inside a block of equal scores every order is equally likely, which is
    the same as to give each member the block's mean.

    Args:
        scores: N numbers, higher is better; equal numbers are ties.
        is_right: N flags, in the same order.
        k: the size of the draw, 1..N.

    Raises UserError when the lengths differ, k is out of range or a score is NaN.
    """
    scores_N, right_N = _ranked(scores, is_right, k=k)
    num = len(scores_N)
    weights_N = [math.comb(num - i, k - 1) for i in range(1, num + 1)]
    return math.fsum(
        w * x for w, x in zip(weights_N, _mean_over_ties(scores_N, right_N))
    ) / math.comb(num, k)


def n_at_k(
    scores: Sequence[float], is_right: Sequence[bool], *, n: int, k: int
) -> float:
    """The chance that one of the n top-scored of k drawn candidates is right.

    For a strict ranking, with w_i wrong candidates ranked before i,
    ``n@k = 1 - sum_{i wrong} C(w_i, n - 1) * C(N - i, k - n) / C(N, k)``: candidate i is
    the n-th best of the draw, and all n are wrong. n = 1 is best@k and n = k is pass@k.
    With ties the sum runs over the expected number of such draws (see `_miss_weight`).

    Golden: right flags [1, 0, 1, 0, 0, 0, 0, 0], best first: 1@4 = 45/70 = 0.642857 and
    2@4 = 55/70 = 0.785714.

    Raises UserError as `best_at_k` does, and when n is not in 1..k.
    """
    if not 1 <= n <= k:
        raise UserError(f"n@k needs 1 <= n <= k; got n={n} and k={k}.")
    scores_N, right_N = _ranked(scores, is_right, k=k)
    misses, num_before, wrong_before = 0.0, 0, 0
    for start, end in _tie_blocks(scores_N):
        size, wrong = end - start, int(np.sum(~right_N[start:end]))
        misses += sum(
            _miss_weight(
                rank_in_block=r, size=size, wrong=wrong, wrong_before=wrong_before, n=n
            )
            * math.comb(len(scores_N) - num_before - r, k - n)
            for r in range(1, size + 1)
        )
        num_before, wrong_before = end, wrong_before + wrong
    return 1.0 - misses / math.comb(len(scores_N), k)


def _miss_weight(
    *, rank_in_block: int, size: int, wrong: int, wrong_before: int, n: int
) -> float:
    """E[1{rank is wrong} * C(w, n - 1)] over the orders of one block of ties.

    w counts the wrong candidates before the rank: those of earlier blocks and, when the
    rank is wrong, h of the r - 1 before it in its own block, h hypergeometric.
    """
    before = rank_in_block - 1
    orders = math.comb(size, before) * (size - before)
    ways = sum(
        math.comb(wrong, h)
        * math.comb(size - wrong, before - h)
        * (wrong - h)
        * math.comb(wrong_before + h, n - 1)
        for h in range(min(wrong, before) + 1)
    )
    return ways / orders


def _ranked(
    scores: Sequence[float], is_right: Sequence[bool], *, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """(scores, flags), both sorted by score, best first."""
    if len(scores) != len(is_right):
        raise UserError(
            "A ranking needs one score for each candidate; got "
            f"{len(scores)} scores for {len(is_right)} candidates."
        )
    if not 1 <= k <= len(scores):
        raise UserError(
            f"best@k needs 1 <= k <= number of candidates; got k={k} with "
            f"{len(scores)} candidates. Draw more candidates, or ask for a smaller k."
        )
    scores_N = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores_N).any():
        raise UserError("A ranking needs scores that are numbers; got NaN.")
    order_N = np.argsort(-scores_N, kind="stable")
    return scores_N[order_N], np.asarray(is_right, dtype=bool)[order_N]


def _tie_blocks(scores_N: np.ndarray) -> list[tuple[int, int]]:
    """[start, end) of each run of equal scores."""
    starts = [0, *(np.flatnonzero(scores_N[1:] != scores_N[:-1]) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(scores_N)]))


def _mean_over_ties(scores_N: np.ndarray, right_N: np.ndarray) -> list[float]:
    """Each candidate's chance to be right, given only its place in the ranking."""
    means: list[float] = []
    for start, end in _tie_blocks(scores_N):
        means.extend([float(np.mean(right_N[start:end]))] * (end - start))
    return means
