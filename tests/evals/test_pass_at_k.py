"""pass@k against counting every draw."""

import itertools

import pytest

from simex.core.errors import UserError
from simex.evals.pass_at_k import pass_at_k


def test_one_right_of_four_is_found_by_half_of_the_pairs():
    # 6 pairs, C(3, 2) = 3 of them without the right one: 1 - 3/6
    assert pass_at_k(4, 1, k=2) == pytest.approx(0.5)


@pytest.mark.parametrize("num", range(1, 8))
def test_equals_the_share_of_all_draws_with_a_right_sample(num):
    for num_right, k in itertools.product(range(num + 1), range(1, num + 1)):
        flags = [i < num_right for i in range(num)]
        draws = [any(draw) for draw in itertools.combinations(flags, k)]
        expected = sum(draws) / len(draws)
        assert pass_at_k(num, num_right, k=k) == pytest.approx(expected, abs=1e-12)


def test_draws_are_without_replacement():
    # With replacement, 8 draws of 8 would miss the one right sample (7/8)^8 = 34 %.
    assert pass_at_k(8, 1, k=8) == 1.0


def test_large_counts_stay_finite():
    # C(10000, 5000) overflows a double; 1 - 5000/10000 does not.
    assert pass_at_k(10_000, 1, k=5_000) == pytest.approx(0.5)


def test_nothing_right_is_zero():
    assert pass_at_k(5, 0, k=5) == 0.0


@pytest.mark.parametrize("num,num_right,k", [(4, 0, 5), (4, 0, 0), (0, 0, 1)])
def test_fewer_samples_than_k_are_refused_rather_than_scored(num, num_right, k):
    with pytest.raises(UserError, match=f"k={k} with {num} samples"):
        pass_at_k(num, num_right, k=k)


@pytest.mark.parametrize("num_right", [-1, 5])
def test_an_impossible_count_is_refused(num_right):
    with pytest.raises(UserError, match=r"in 0\.\.4; got"):
        pass_at_k(4, num_right, k=1)
