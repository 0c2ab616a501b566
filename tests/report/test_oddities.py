"""What is odd about a high reward."""

import pytest

from simex.report.oddities import find_oddities
from simex.sampling.samples import Stop
from tests.report.recorded import (
    WRONG_SAID,
    make_rollout,
    make_test,
    make_turn,
    record,
)


@pytest.mark.parametrize(
    ("rollout", "oddity"),
    [
        (make_rollout(1.0, source="print(3)"), "without reading its input"),
        (make_rollout(1.0, turns=(make_turn(stop=Stop.LENGTH),)), "cut off"),
        (make_rollout(1.0, turns=(make_turn("so\n" * 8),)), "8 times in a row"),
        (make_rollout(1.0, tests=(WRONG_SAID,)), "predicted wrongly"),
        (
            make_rollout(1.0, tests=(make_test("accepted", stdout="3.0\n"),)),
            "by tolerance",
        ),
        (
            make_rollout(
                1.0,
                source="input(); print('12345')",
                tests=(make_test("accepted", expected="12345\n", stdout="12345\n"),),
            ),
            "stands in the program",
        ),
    ],
)
def test_a_high_reward_with_oddities_is_found(rollout, oddity):
    (found,) = find_oddities(record(rollout)["rollouts"][0])
    assert oddity in found


def test_an_honest_program_and_one_that_failed_have_no_oddities():
    for reward in (1.0, -1.0):
        assert find_oddities(record(make_rollout(reward))["rollouts"][0]) == []
