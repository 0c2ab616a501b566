"""The negative control: what is made wrong on purpose is found."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.nlex.grounding import check_grounding
from simex.nlex.noise import (
    Noise,
    corrupt_explanation,
    corrupt_one_value,
    corrupt_trace,
    make_other_value,
)
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth

SOURCE = """\
def f(n):
    if n % 2 == 0:
        raise ValueError('even: no good = %d' % n)
    return {'n': n, 'half': n / 2}
s = 0
out = []
for x in range(12):
    try:
        out.append(f(x)['n'])
        s += x
    except ValueError:
        s -= 1
print(s, out)
"""


@pytest.fixture(scope="module")
def trace(trace_of):
    return trace_of(SOURCE)


@pytest.mark.parametrize("style", sorted(REWRITERS))
def test_single_wrong_values_are_found(trace, style):
    rng = np.random.default_rng(0)
    truth = Truth(trace)
    told = REWRITERS[style](trace)
    assert check_grounding(told, truth).score == 1.0
    missed = 0
    for _ in range(200):
        corrupted = corrupt_one_value(told, truth, rng=rng)
        assert corrupted is not None and corrupted[0].text != told.text
        missed += check_grounding(corrupted[0], truth).score == 1.0
    assert missed <= 2  # of 200


def test_a_third_of_the_values_is_about_a_third_of_the_statements(trace):
    truth, told = Truth(trace), REWRITERS["compact"](trace)
    rng = np.random.default_rng(0)
    wrong, count = corrupt_explanation(told, truth, fraction=0.3, rng=rng)
    grounding = check_grounding(wrong, truth)
    total = check_grounding(told, truth).num_statements
    assert 0.2 < count / total < 0.4
    assert abs(grounding.score - (1 - count / total)) < 0.1
    assert wrong.claimed_output == told.claimed_output


def test_everything_wrong_leaves_hardly_anything_true(trace):
    truth, told = Truth(trace), REWRITERS["compact"](trace)
    wrong, _ = corrupt_explanation(
        told, truth, fraction=1.0, rng=np.random.default_rng(0)
    )
    assert check_grounding(wrong, truth).score < 0.25


def test_a_wrong_trace_is_told_well_and_found(trace):
    wrong, count = corrupt_trace(trace, fraction=0.3, rng=np.random.default_rng(0))
    told = REWRITERS["compact"](wrong)
    assert count and check_grounding(told, Truth(wrong)).score == 1.0
    assert check_grounding(told, Truth(trace)).score < 0.95
    same, none = corrupt_trace(trace, fraction=0.0, rng=np.random.default_rng(0))
    assert same == trace and none == 0


@pytest.mark.parametrize(
    "value", ["4", "yes", "True", "[]", "'ab'", "b'x'", "<P>", "0.5"]
)
def test_another_value_is_another(value):
    rng = np.random.default_rng(0)
    assert all(make_other_value(value, rng) != value for _ in range(50))


def test_impossible_noise_is_refused():
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        Noise(fraction=30)
    with pytest.raises(UserError, match="trace"):
        Noise(place="answer")
