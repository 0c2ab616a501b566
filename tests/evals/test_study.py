"""Claims over seeds: means, intervals that know both spreads, verdicts."""

import math

import pytest

from simex.evals.study import ORDERINGS, combine, combine_all, judge_orderings


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
    assert found.low == pytest.approx(0.2 - 1.96 * found.stderr)
    assert found.verdict == "not shown (2 of 3 seeds above 0)"


def test_a_difference_below_zero_does_not_hold():
    found = combine("gain.x", [estimate(-0.1), estimate(-0.12)])
    assert found.verdict == "does not hold (0 of 2 seeds above 0)"


def test_only_what_all_seeds_have_is_combined_and_orderings_are_judged():
    name = "gain.compact_over_direct"
    runs = [{name: estimate(0.5), "only.here": estimate(0.1)}, {name: estimate(0.4)}]
    found = combine_all(runs)
    assert list(found) == [name] and found[name].by_seed == (0.5, 0.4)
    (row,) = judge_orderings(found)
    assert row["ordering"] == ORDERINGS[name] and row["verdict"].startswith("holds")


@pytest.mark.parametrize("policy", ["rl", "predicted"])
def test_the_loops_of_every_policy_that_rl_trains_have_their_sentences(policy):
    name = f"gain.{policy}_fix_over_resample"
    (row,) = judge_orderings(combine_all([{name: estimate(0.5)}]))
    assert row["ordering"] == "... and fixing beats drawing anew"
