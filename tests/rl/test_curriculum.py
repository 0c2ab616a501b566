"""Items by how near the policy is to mastering them."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.rl.curriculum import Curriculum


def test_the_weight_falls_on_both_sides_of_the_target():
    curriculum = Curriculum(target_pass_rate=0.5, least_weight=0.1)
    weights = [curriculum.weight(rate) for rate in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert weights == pytest.approx([0.1, 0.55, 1.0, 0.55, 0.1])
    skewed = Curriculum(target_pass_rate=0.8, least_weight=0.2)
    # Half-way down on the left is 0.4, on the right 0.9.
    assert [skewed.weight(r) for r in (0.4, 0.9)] == pytest.approx([0.6, 0.6])


def test_half_mastered_and_unknown_items_are_drawn_most():
    curriculum = Curriculum(least_weight=0.1)
    rates = {"0": 1.0, "1": 0.0, "2": 0.5}  # item 3 was never asked about
    counts = np.zeros(4)
    for draw in range(2000):
        rng = np.random.default_rng(draw)
        (item,) = curriculum.choose(rates, 4, 1, rng=rng)
        counts[item] += 1
    # Weights 0.1, 0.1, 1 and 1 of 2.2; four standard errors of a share are 0.045.
    np.testing.assert_allclose(
        counts / 2000, np.array([0.1, 0.1, 1, 1]) / 2.2, atol=0.045
    )


def test_no_item_comes_twice_while_there_are_others():
    found = Curriculum().choose({}, 5, 12, rng=np.random.default_rng(0))
    assert sorted(found[:5]) == sorted(found[5:10]) == [0, 1, 2, 3, 4]


def test_an_estimate_moves_by_its_memory():
    curriculum = Curriculum(memory=0.75)
    assert curriculum.remember({"4": 1.0}, [4, 2], [0.0, 0.5]) == {"4": 0.75, "2": 0.5}


@pytest.mark.parametrize(
    "settings", [{"target_pass_rate": 0.0}, {"least_weight": 0.0}, {"memory": 1.0}]
)
def test_numbers_that_leave_items_out_are_refused(settings):
    with pytest.raises(UserError, match="0 < target_pass_rate < 1"):
        Curriculum(**settings)
