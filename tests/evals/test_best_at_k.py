"""best@k and n@k against golden numbers and against counting every draw and order."""

import itertools
import random

import pytest

from simex.core.errors import UserError
from simex.evals.best_at_k import best_at_k, n_at_k
from simex.evals.pass_at_k import pass_at_k

RANKED_FLAGS = [1, 0, 1, 0, 0, 0, 0, 0]  # best first
STRICT_SCORES = [8, 7, 6, 5, 4, 3, 2, 1]


def test_golden_numbers_of_a_strict_ranking():
    # rank 1 is the best of C(7, 3) = 35 of 70 draws, rank 3 of C(5, 3) = 10: 45/70
    assert best_at_k(STRICT_SCORES, RANKED_FLAGS, 4) == pytest.approx(
        0.642857, abs=5e-7
    )
    n_of_4 = [n_at_k(STRICT_SCORES, RANKED_FLAGS, n=n, k=4) for n in (1, 2, 4)]
    assert n_of_4 == pytest.approx([0.642857, 0.785714, 0.785714], abs=5e-7)


def test_the_order_in_which_candidates_are_given_does_not_matter():
    places = [5, 2, 7, 0, 1, 3, 6, 4]
    scores = [STRICT_SCORES[i] for i in places]
    flags = [RANKED_FLAGS[i] for i in places]
    assert best_at_k(scores, flags, 4) == pytest.approx(45 / 70)


def test_a_tie_is_worth_its_mean():
    # All equal: the choice is blind, so best@k is pass@1 = 2/8 for every k.
    for k in range(1, 9):
        assert best_at_k([0] * 8, RANKED_FLAGS, k) == pytest.approx(0.25)


def random_case(rng):
    num = rng.randint(1, 6)
    scores = [rng.randint(0, 3) for _ in range(num)]  # few values, so many ties
    return scores, [rng.random() < 0.4 for _ in range(num)], rng.randint(1, num)


def every_ranking(scores):
    """All orders of the candidates that agree with the scores."""
    for order in itertools.permutations(range(len(scores))):
        ranked = [scores[i] for i in order]
        if ranked == sorted(ranked, reverse=True):
            yield order


def n_at_k_by_counting(scores, is_right, *, n, k):
    found = [
        any(is_right[i] for i in [i for i in order if i in draw][:n])
        for order in every_ranking(scores)
        for draw in map(set, itertools.combinations(range(len(scores)), k))
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize("seed", range(60))
def test_random_cases_with_ties_equal_the_count_over_draws_and_orders(seed):
    scores, is_right, k = random_case(random.Random(seed))
    n = 1 + seed % k
    expected = n_at_k_by_counting(scores, is_right, n=n, k=k)
    assert n_at_k(scores, is_right, n=n, k=k) == pytest.approx(expected, abs=1e-12)
    best = n_at_k_by_counting(scores, is_right, n=1, k=k)
    assert best_at_k(scores, is_right, k) == pytest.approx(best, abs=1e-12)


def test_submitting_all_k_is_pass_at_k_whatever_the_ranking():
    scores = [3, 3, 1, 0, 0, 2, 2, 2]
    for k in range(1, 9):
        expected = pass_at_k(8, 2, k=k)
        assert n_at_k(scores, RANKED_FLAGS, n=k, k=k) == pytest.approx(expected)


@pytest.mark.parametrize("k", [0, 9])
def test_a_draw_larger_than_the_candidates_is_refused(k):
    with pytest.raises(UserError, match=f"k={k} with 8 candidates"):
        best_at_k(STRICT_SCORES, RANKED_FLAGS, k)


def test_more_submissions_than_candidates_drawn_are_refused():
    with pytest.raises(UserError, match="n=5 and k=4"):
        n_at_k(STRICT_SCORES, RANKED_FLAGS, n=5, k=4)


def test_missing_scores_and_nan_are_refused():
    with pytest.raises(UserError, match="2 scores for 1 candidates"):
        best_at_k([1, 2], [True], 1)
    with pytest.raises(UserError, match="NaN"):
        best_at_k([1.0, float("nan")], [True, False], 1)
