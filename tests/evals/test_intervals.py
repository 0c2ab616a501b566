"""Bootstrap intervals against a slow loop, known widths and coverage."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.evals.intervals import mean_with_interval, paired_difference


def test_interval_of_a_rate_has_the_width_of_the_normal_approximation():
    # 400 problems at 0.5: standard error sqrt(.25 / 400) = 0.025, 1.96 of it 0.049
    estimate = mean_with_interval([0, 1] * 200)
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.451, abs=0.004)
    assert estimate.high == pytest.approx(0.549, abs=0.004)
    assert estimate.n == 400


def test_equals_a_loop_over_the_same_draws():
    values = np.random.default_rng(1).random(17)
    rng = np.random.default_rng(5)
    means = [
        np.mean([values[i] for i in row]) for row in rng.integers(17, size=(50, 17))
    ]
    estimate = mean_with_interval(values, seed=5, num_draws=50)
    assert [estimate.low, estimate.high] == pytest.approx(
        np.quantile(means, [0.025, 0.975]).tolist()
    )


def test_draws_in_blocks_equal_draws_at_once(monkeypatch):
    values = list(np.random.default_rng(2).random(30))
    at_once = mean_with_interval(values, num_draws=100)
    monkeypatch.setattr("simex.evals.intervals._INDICES_AT_ONCE", 70)  # 2 draws a block
    assert mean_with_interval(values, num_draws=100) == at_once


def test_ten_copies_of_each_problem_do_not_narrow_the_interval():
    values = [0, 1] * 20
    copies = np.repeat(values, 10)
    clusters = np.repeat(np.arange(40), 10)
    plain = mean_with_interval(values)
    clustered = mean_with_interval(copies, [int(c) for c in clusters])
    assert clustered.n == 400
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))
    naive = mean_with_interval(copies)
    assert naive.high - naive.low < 0.5 * (clustered.high - clustered.low)


def test_clusters_of_different_sizes_weigh_by_their_values():
    estimate = mean_with_interval([1, 1, 1, 0], ["a", "a", "a", "b"])
    assert estimate.value == 0.75  # the mean over values, not over problems
    # two clusters: draws are (a, a) = 1, (a, b) = 3/4, (b, b) = 0
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        draws = (rng.random(100) < 0.3).tolist()
        estimate = mean_with_interval(draws, seed=trial, num_draws=400)
        covered += estimate.low <= 0.3 <= estimate.high
    assert 180 <= covered <= 199  # 95 % of 200 is 190


def test_pairing_removes_what_both_sides_share():
    difficulty = np.random.default_rng(3).random(200)
    paired = paired_difference(difficulty + 0.05, difficulty)
    assert paired.value == pytest.approx(0.05)
    assert paired.low > 0.049  # the difference is 0.05 on every item
    apart = mean_with_interval(difficulty)
    assert apart.high - apart.low > 0.05  # two separate intervals would overlap


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(4).random(50).tolist()
    assert mean_with_interval(values, seed=7) == mean_with_interval(values, seed=7)
    assert mean_with_interval(values, seed=7) != mean_with_interval(values, seed=8)


def test_as_dict_is_the_form_of_the_results_file():
    assert mean_with_interval([1.0, 1.0]).as_dict() == {
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
        "n": 2,
        "stderr": 0.0,
        "problems": 2,
    }


def test_the_standard_error_of_single_values_is_the_textbook_one():
    values = np.random.default_rng(6).random(40)
    expected = np.std(values, ddof=1) / np.sqrt(40)
    assert mean_with_interval(values.tolist()).stderr == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_clustered_standard_error_equals_a_loop_over_pairs_of_values(seed):
    rng = np.random.default_rng(seed)
    values, clusters = rng.random(30), rng.integers(0, 7, size=30).tolist()
    mean, num = values.mean(), len(set(clusters))
    # Miller 2024, section 2.2: products of residuals of all pairs in one cluster.
    total = sum(
        (values[i] - mean) * (values[j] - mean)
        for i in range(30)
        for j in range(30)
        if clusters[i] == clusters[j]
    )
    expected = np.sqrt(num / (num - 1) * total) / 30
    estimate = mean_with_interval(values.tolist(), clusters)
    assert estimate.stderr == pytest.approx(expected) and estimate.problems == num


def test_the_standard_error_is_that_of_the_bootstrap():
    rng = np.random.default_rng(8)
    values = (rng.random(600) < 0.3).astype(float).tolist()
    estimate = mean_with_interval(values, [i // 3 for i in range(600)])
    assert (estimate.high - estimate.low) / (2 * 1.96) == pytest.approx(
        estimate.stderr, rel=0.08
    )


@pytest.mark.parametrize("values", [[], [[1.0]], [float("nan")], [float("inf")]])
def test_values_without_a_mean_are_refused(values):
    with pytest.raises(UserError, match="estimate needs"):
        mean_with_interval(values)


def test_lengths_that_differ_are_refused():
    with pytest.raises(UserError, match="1 ids for 2 values"):
        mean_with_interval([0, 1], ["a"])
    with pytest.raises(UserError, match="2 and 1 values"):
        paired_difference([0, 1], [0])
