"""Golden advantages of the group with returns [1, 0, 0, 0]."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.rl.advantage import ADVANTAGES, compute_advantages

RETURNS = np.array([1.0, 0.0, 0.0, 0.0])
LENGTHS = np.array([1.0, 3.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("group_mean", [0.75, -0.25, -0.25, -0.25]),
        # mean 0.25, std with ddof 1 is 0.5: 0.75 / 0.500001 = 1.499997
        ("group_mean_std", [1.499997, -0.499999, -0.499999, -0.499999]),
        ("leave_one_out", [1.0, -1 / 3, -1 / 3, -1 / 3]),
        # baseline 1·1 / (1 + 3 + 2 + 2) = 0.125
        ("length_weighted_mean", [0.875, -0.125, -0.125, -0.125]),
    ],
)
def test_golden_values(name, expected):
    found = compute_advantages(name, RETURNS, LENGTHS)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_token_weighted_advantages_of_the_length_weighted_mean_sum_to_zero():
    found = compute_advantages("length_weighted_mean", RETURNS, LENGTHS)
    assert abs((found * LENGTHS).sum()) < 1e-12


def test_a_group_of_one_is_refused():
    with pytest.raises(UserError, match="at least 2 rollouts"):
        compute_advantages("group_mean", np.ones(1), np.ones(1))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=", ".join(ADVANTAGES)):
        compute_advantages("grpo", RETURNS, LENGTHS)
