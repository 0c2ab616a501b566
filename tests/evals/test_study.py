"""Claims over seeds: means, intervals that know both spreads, verdicts."""

import math

import pytest

from simex.evals.study import (
    ORDERINGS,
    combine,
    combine_all,
    describe_interval,
    judge_orderings,
)


def estimate(value, stderr=0.02):
    return {
        "value": value,
        "low": value - 0.04,
        "high": value + 0.04,
        "n": 100,
        "stderr": stderr,
        "problems": 50,
    }


def test_seeds_that_agree_are_as_sure_as_their_problems_make_them():
    # no spread between seeds: 0.02 / sqrt(3)
    found = combine("gain.x", [estimate(0.1)] * 3)
    assert found.value == pytest.approx(0.1)
    assert found.stderr == pytest.approx(0.02 / math.sqrt(3))
    assert (found.n, found.problems) == (300, 150)
    assert found.verdict == "holds (3 of 3 seeds above 0)"


def test_seeds_that_differ_widen_the_interval():
    # variance of 0, 0.2, 0.4 is 0.04: standard error sqrt(0.04 / 3)
    found = combine("gain.x", [estimate(v) for v in (0.0, 0.2, 0.4)])
    assert found.stderr == pytest.approx(math.sqrt(0.04 / 3))
    # t with 2 degrees of freedom has F(t) = (1 + t / sqrt(2 + t^2)) / 2: at p = 0.975
    # t = 0.95 * sqrt(2 / (1 - 0.95^2)) = 4.303
    assert found.low == pytest.approx(0.2 - 4.3027 * found.stderr, abs=1e-4)
    assert found.high == pytest.approx(0.2 + 4.3027 * found.stderr, abs=1e-4)
    assert found.verdict == "not shown (2 of 3 seeds above 0)"


def test_student_decides_only_where_seeds_differ_more_than_their_problems_explain():
    # Within each seed 0.02^2. 0.04, 0.05, 0.06 have variance 0.01^2, which is less, and
    # 0.01, 0.05, 0.09 have 0.04^2.
    near = combine("gain.x", [estimate(v) for v in (0.04, 0.05, 0.06)])
    assert near.high - near.value == pytest.approx(1.96 * 0.02 / math.sqrt(3))
    far = combine("gain.x", [estimate(v) for v in (0.01, 0.05, 0.09)])
    assert far.high - far.value == pytest.approx(4.303 * 0.04 / math.sqrt(3))
    assert near.verdict == "holds (3 of 3 seeds above 0)"
    assert far.verdict == "not shown (3 of 3 seeds above 0)"
    # One degree of freedom is Cauchy's: tan(0.475 pi) = 12.706.
    two = combine("gain.x", [estimate(v) for v in (0.0, 0.2)])
    stderr = math.sqrt(0.02 / 2)
    cauchy = math.tan(0.475 * math.pi)
    assert two.high - two.value == pytest.approx(cauchy * stderr, rel=1e-4)
    many = combine("gain.x", [estimate(v) for v in [0.0, 0.4] * 20])
    assert many.high - many.value == pytest.approx(2.042 * many.stderr)
    # One seed has no spread: its problems' alone.
    one = combine("gain.x", [estimate(0.5)])
    assert one.high - one.value == pytest.approx(1.96 * 0.02)


def test_the_interval_is_said_in_words():
    assert "4.303 standard errors (Student's t, 2 degrees" in describe_interval(3)
    assert "one seed" in describe_interval(1)


def test_a_difference_below_zero_does_not_hold():
    found = combine("gain.x", [estimate(-0.1), estimate(-0.12)])
    assert found.verdict == "does not hold (0 of 2 seeds above 0)"


def test_only_what_all_seeds_have_is_combined_and_orderings_are_judged():
    name = "gain.compact_over_direct"
    runs = [{name: estimate(0.5), "only.here": estimate(0.1)}, {name: estimate(0.49)}]
    found = combine_all(runs)
    assert list(found) == [name] and found[name].by_seed == (0.5, 0.49)
    (row,) = judge_orderings(found)
    assert row["ordering"] == ORDERINGS[name] and row["verdict"].startswith("holds")


@pytest.mark.parametrize("policy", ["rl", "predicted"])
def test_the_loops_of_every_policy_that_rl_trains_have_their_sentences(policy):
    name = f"gain.{policy}_fix_over_resample"
    (row,) = judge_orderings(combine_all([{name: estimate(0.5)}]))
    assert row["ordering"] == "... and fixing beats drawing anew"
