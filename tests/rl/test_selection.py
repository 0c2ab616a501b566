"""Which rollouts are trained on, and what they are divided by."""

import math

import numpy as np
import pytest

from simex.rl.presets import make_algorithm
from simex.rl.selection import is_flat, overlong_penalty, select
from simex.sampling.samples import Stop
from tests.rl.rollout_examples import FAILED, MIXED, PASSED, group, rollout, turn

V = 300


def select_from(*groups, preset="dr_grpo", **changes):
    algorithm = make_algorithm(preset, changes)
    return select(groups, algorithm=algorithm, is_rare_V=np.arange(V) >= 200)


def test_flat_groups_are_not_trained_on_but_stay_in_the_denominator():
    found = select_from(MIXED, PASSED)
    assert len(found.chosen) == 2 and found.num_counted == 4
    assert found.denominator == 4 * 256.0


def test_flat_groups_that_are_dropped_leave_the_denominator():
    found = select_from(MIXED, PASSED, FAILED, flat_groups="drop")
    assert found.num_counted == 2 and found.num_groups_dropped == 2


def test_the_filter_looks_at_the_raw_pass_rate_and_not_at_the_reward():
    """All fail, and only their lengths differ: shaped rewards are not flat."""
    long = rollout(-1.0, turn([2], [5] * 250), passed=0.0)
    hopeless = group(rollout(-1.0, turn([2], [4]), passed=0.0), long)
    assert is_flat(hopeless)
    assert len(select_from(hopeless, overlong="shape").chosen) == 2
    assert not select_from(hopeless, overlong="shape", flat_groups="drop").chosen
    # So do rewards that give something for being near.
    near = rollout(-0.5, turn([2], [4]), passed=0.0)
    nearly = group(rollout(-1.0, turn([2], [4]), passed=0.0), near)
    assert len(select_from(nearly).chosen) == 2
    assert not select_from(nearly, flat_groups="drop").chosen


def test_where_every_token_counts_flat_groups_are_packed_too():
    assert len(select_from(MIXED, PASSED, entropy_weight=0.01).chosen) == 4
    assert len(select_from(MIXED, PASSED, kl="k3").chosen) == 4


@pytest.mark.parametrize(
    ("reduction", "weights", "denominator"),
    [
        ("sum_over_constant", [1.0, 1.0], 2 * 256.0),
        ("token_mean", [1.0, 1.0], 7.0),  # 5 and 2 tokens
        ("sequence_mean", [1 / 5, 1 / 2], 2.0),
    ],
)
def test_reductions(reduction, weights, denominator):
    found = select_from(MIXED, reduction=reduction)
    assert [one.weight for one in found.chosen] == weights
    assert found.denominator == denominator


def test_a_truncated_rollout_is_masked_in_numerator_and_denominator_alike():
    cut = rollout(-1.0, turn([2], [5, 5, 5], stop=Stop.LENGTH))
    whole = rollout(1.0, turn([2], [5, 4]))
    found = select_from(group(whole, cut), overlong="mask", reduction="token_mean")
    # The baseline is still that of both: 1 - 0.
    assert [one.advantages for one in found.chosen] == [(1.0,)]
    assert found.denominator == 2.0 and found.num_overlong == 1


def test_the_soft_punishment_grows_over_the_buffer():
    algorithm = make_algorithm(
        "dapo", {"overlong_max_tokens": 100, "overlong_buffer_tokens": 20}
    )
    lengths = (10, 80, 90, 100, 150)
    found = [overlong_penalty(n, algorithm) for n in lengths]
    assert found == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_the_soft_punishment_is_taken_from_the_reward():
    # Of 100 tokens at most and a buffer of 20, 90 cost a half: 0.5 and 1, mean 0.75.
    rollouts = [rollout(1.0, turn([2], [5] * length)) for length in (90, 10)]
    found = select_from(
        group(*rollouts),
        overlong="shape",
        overlong_max_tokens=100,
        overlong_buffer_tokens=20,
    )
    assert [one.advantages for one in found.chosen] == [(-0.25,), (0.25,)]


def test_gibberish_is_a_rare_token_that_was_hardly_likely():
    """Rare: here from id 200 of 300. Unlikely: a logprob under -log(300) - 2 = -7.70."""
    edge = -math.log(V) - 2
    cases = [
        (turn([2], [250], logprob=edge - 0.1), 1),
        (turn([2], [250], logprob=edge + 0.1), 0),
        (turn([2], [199], logprob=edge - 0.1), 0),
    ]
    for odd, masked in cases:
        groups = group(rollout(-1.0, odd), rollout(1.0, turn([2], [5])))
        found = select_from(groups, gibberish="mask")
        assert found.num_gibberish == masked
        assert found.num_counted == 2 - masked


def test_a_rollout_lost_to_a_fault_of_ours_is_left_out_and_counted():
    lost = rollout(None, turn([2, 3], [4]))
    found = select_from(group(*MIXED.rollouts, lost))
    assert found.num_lost == 1 and found.num_counted == 2
    # The baseline is that of the two that remain: 1 - 0 and -1 - 0.
    assert {a for one in found.chosen for a in one.advantages} == {1.0, -1.0}


def test_equal_rewards_give_no_signal_whatever_their_rounding():
    same = [rollout(0.1, turn([2], [4]), passed=p) for p in (1.0, 0.0, 0.0)]
    assert not select_from(group(*same), preset="grpo_trl").chosen


def test_the_asymmetry_between_solved_and_unsolved_groups_is_measured():
    one, zero = (rollout(r, turn([2], [4])) for r in (1.0, 0.0))
    hard, easy = group(one, zero, zero, zero), group(one, one, one, zero)
    # Group mean: both groups have advantages of 0.75 once and 0.25 three times.
    assert select_from(hard, easy).share_of_unsolved == 0.5
    # MaxRL: [3, -1 ×3] for the hard group, [1/3 ×3, -1] for the easy one.
    found = select_from(hard, easy, advantage="max_rl")
    np.testing.assert_allclose(found.share_of_unsolved, 6 / (6 + 2))
    np.testing.assert_allclose(found.net_push, 0.0, atol=1e-12)


def test_nothing_at_all_has_no_denominator():
    found = select_from(FAILED, flat_groups="drop", reduction="token_mean")
    assert not found.chosen and found.denominator == 0.0
