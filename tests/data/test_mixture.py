"""Weights by task."""

import pytest

from simex.core.errors import UserError
from simex.data.mixture import Mixture


def test_weights_are_normalised_and_zero_leaves_a_task_out():
    mixture = Mixture(weights={"solve": 1, "explain": 3.0, "predict_output": 0})
    shares = mixture.shares(["explain", "solve", "predict_output", "submit_or_fix"])
    assert shares == {"explain": 0.75, "solve": 0.25}


def test_no_weights_mean_natural_shares():
    assert Mixture().shares(["explain", "solve"]) is None


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(UserError, match="got explian. Known tasks: explain, solve"):
        Mixture(weights={"explian": 1.0}).shares(["solve", "explain"])


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "1"])
def test_impossible_weights_are_refused_when_built(weight):
    with pytest.raises(UserError, match="for 'explain'"):
        Mixture(weights={"explain": weight})


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(UserError, match="At least one"):
        Mixture(weights={"explain": 0.0})
