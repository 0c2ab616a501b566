"""Credit of turns: the arithmetic of every rule."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.rollouts.credit import CreditConfig, give_credit
from simex.rollouts.rollout import Turn
from simex.sampling.samples import Stop


def turns(*names):
    return [
        Turn(
            task=name,
            prompt_ids=(2,),
            completion_ids=(4,),
            sampler_logprobs=np.zeros(1, np.float32),
            stop=Stop.STOP_ID,
            text="",
        )
        for name in names
    ]


@pytest.mark.parametrize(
    ("config", "credits"),
    [
        (CreditConfig(), [1, 1, 1, 1, 1]),
        (CreditConfig(rule="last_turn"), [0, 0, 0, 0, 1]),
        # Submit-or-fix turns still to come: 2, 2, 1, 1, 0.
        (CreditConfig(rule="discounted", discount=0.5), [0.25, 0.25, 0.5, 0.5, 1]),
        (CreditConfig(simulate_reward=0.8), [1, 0, 1, 0, 1]),
    ],
)
def test_credit_is_handed_to_turns_by_the_rule(config, credits):
    names = ["solve", "predict_output", "submit_or_fix"]
    given = give_credit(turns(*names, *names[1:]), config)
    assert [turn.credit for turn in given] == credits


@pytest.mark.parametrize(
    ("standing", "gains"),
    [
        # 1 for a right first program, -1 for a wrong one; then what each fix changed.
        ([True, True, True], [1.0, 0.0, 0.0]),
        ([True, False, True], [1.0, -2.0, 2.0]),
        ([False, False, True], [-1.0, 0.0, 2.0]),
        # What a fault of ours hides is nobody's gain, nor is the step from it.
        ([False, None, True], [-1.0, None, None]),
    ],
)
def test_a_gain_is_what_each_program_adds(standing, gains):
    names = ["solve", "predict_output", "submit_or_fix"]
    given = give_credit(
        turns(*names, *names[1:]),
        CreditConfig(rule="gain"),
        standing=standing,
        scale=0.5,
    )
    programs = [turn for turn in given if turn.task != "predict_output"]
    halves = [None if gain is None else gain / 2 for gain in gains]
    assert [turn.reward for turn in programs] == halves
    assert [turn.credit for turn in given] == [0, 1, 0, 1, 0]
    if None not in gains:  # all that is earned is the trajectory's reward
        assert sum(t.reward for t in programs) == (0.5 if standing[-1] else -0.5)


def test_a_gain_needs_a_word_on_every_program():
    with pytest.raises(ValueError, match="zip"):
        give_credit(turns("solve"), CreditConfig(rule="gain"))


@pytest.mark.parametrize(
    "wrong", [{"rule": "last"}, {"discount": 1.5}, {"simulate_reward": -1.0}]
)
def test_impossible_credit_is_refused(wrong):
    with pytest.raises(UserError):
        CreditConfig(**wrong)
