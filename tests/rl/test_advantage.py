"""Golden advantages of the group with returns [1, 0, 0, 0]."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.rl.advantage import ADVANTAGES, Spread, compute_advantages
from simex.rl.presets import PRESETS

RETURNS = np.array([1.0, 0.0, 0.0, 0.0])
LENGTHS = np.array([1.0, 3.0, 2.0, 2.0])


def advantages_of(name, spread=Spread(), returns=RETURNS):
    return compute_advantages(name, returns, LENGTHS, spread=spread)


@pytest.mark.parametrize(
    ("name", "spread", "expected"),
    [
        ("group_mean", Spread(), [0.75, -0.25, -0.25, -0.25]),
        # mean 0.25, std with ddof 1 is 0.5: 0.75 / 0.500001 = 1.499997
        ("mean_std", Spread(ddof=1, eps=1e-6), [1.499997] + [-0.499999] * 3),
        # 0.75 / 0.5001 = 1.499700
        ("mean_std", Spread(ddof=1, eps=1e-4), [1.499700] + [-0.499900] * 3),
        # std with ddof 0 is sqrt(0.1875) = 0.433013
        ("mean_std", Spread(ddof=0, eps=1e-8), [1.732051] + [-0.577350] * 3),
        ("leave_one_out", Spread(), [1.0, -1 / 3, -1 / 3, -1 / 3]),
        # 0.75 / 0.25 and -0.25 / 0.25
        ("max_rl", Spread(), [3.0, -1.0, -1.0, -1.0]),
        # baseline 1·1 / (1 + 3 + 2 + 2) = 0.125
        ("length_weighted_mean", Spread(), [0.875, -0.125, -0.125, -0.125]),
    ],
)
def test_golden_values(name, spread, expected):
    np.testing.assert_allclose(advantages_of(name, spread), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("grpo_verl", [1.499997] + [-0.499999] * 3),
        ("grpo_trl", [1.499700] + [-0.499900] * 3),
        ("dr_grpo", [0.75] + [-0.25] * 3),
        ("rloo", [1.0] + [-1 / 3] * 3),
        ("paper", [0.875] + [-0.125] * 3),
        ("cwm", [0.875] + [-0.125] * 3),
        ("dapo", [1.499997] + [-0.499999] * 3),
        ("gspo", [1.499997] + [-0.499999] * 3),
        ("cispo", [1.499997] + [-0.499999] * 3),
    ],
)
def test_golden_values_by_preset(preset, expected):
    algorithm = PRESETS[preset]
    found = advantages_of(algorithm.advantage, algorithm.spread)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_token_weighted_advantages_of_the_length_weighted_mean_sum_to_zero():
    assert abs((advantages_of("length_weighted_mean") * LENGTHS).sum()) < 1e-12


def test_max_rl_is_the_same_for_rewards_of_plus_and_minus_one():
    found = advantages_of("max_rl", returns=2 * RETURNS - 1)
    np.testing.assert_allclose(found, [3.0, -1.0, -1.0, -1.0], atol=1e-12)


def test_a_group_of_one_is_refused():
    with pytest.raises(UserError, match="at least 2 rollouts"):
        compute_advantages("group_mean", np.ones(1), np.ones(1))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=", ".join(sorted(ADVANTAGES))):
        compute_advantages("grpo", RETURNS, LENGTHS)
