"""Explanations inside predictions, statement by statement against a run."""

import pytest

from simex.core.errors import UserError
from simex.nlex.truth import Truth
from simex.tasks.grounded import GroundingReward, score_prediction
from simex.tasks.predict_output import render_target
from simex.traces.trace import Event, EventKind, Trace

SOURCE = """\
t = 0
for x in [4, 7]:
    if x < 5:
        t += x
print(t)
"""
# Six facts: t, x, yes, t, x, no; the print tells none.
TOLD = "t=0\nx=4 4 < 5 yes 0 + 4 t=4\nx=7 7 < 5 no"


def line(number, **changed):
    return Event(
        kind=EventKind.LINE, line=number, function="<module>", depth=0, changed=changed
    )


@pytest.fixture
def truth():
    events = [
        line(1),
        line(2, t="0"),
        line(3, x="4"),
        line(4),
        line(2, t="4"),
        line(3, x="7"),
        line(2),
        line(5),
    ]
    trace = Trace(
        source=SOURCE,
        stdin="",
        stdout="4\n",
        events=tuple(events),
        is_truncated=False,
        python_version="3.11.7",
    )
    return Truth(trace)


def score(thought, truth, *, is_right=True, **weights):
    completion = render_target(thought, "4")
    config = GroundingReward(**weights)
    return completion, score_prediction(
        completion, truth, is_right=is_right, config=config
    )


def test_a_whole_true_explanation_of_a_right_answer_earns_everything(truth):
    _, found = score(TOLD, truth)
    assert found.reward == 1.0 and found.fault is None
    assert found.parts == {
        "sound": 1.0,
        "true_statements": 1.0,
        "complete": 1.0,
        "exact": 1.0,
    }


def test_one_false_value_ends_what_counts_as_sound_and_is_the_fault(truth):
    false = TOLD.replace("t=4", "t=5")
    completion, found = score(false, truth)
    # Of six facts t, x and yes come before it: 3/6, and all but one are told: 5/6.
    assert found.parts["sound"] == 3 / 6 and found.parts["complete"] == 5 / 6
    # Nine statements, the workings 4 < 5, 0 + 4 and 7 < 5 among them; one is false.
    assert found.parts["true_statements"] == 8 / 9
    assert found.fault is not None
    assert completion[slice(*found.fault)] == "t=5"
    # (1 * 1 + 1 * (2 * 3/6 - 1)) / 2
    assert found.reward == 0.5 and found.parts["exact"] == 0.0


def test_a_left_out_iteration_is_not_sound_though_nothing_said_is_false(truth):
    _, found = score("t=0\nx=4 4 < 5 yes 0 + 4 t=4", truth)
    assert found.fault is None and found.parts["true_statements"] == 1.0
    assert found.parts["sound"] == 4 / 6 and found.parts["exact"] == 0.0
    # 1 and 2 * 4/6 - 1 = 1/3: their mean.
    assert found.reward == pytest.approx((1 + 1 / 3) / 2)


def test_a_lucky_answer_without_a_run_earns_less_than_a_sound_try_that_slips(truth):
    _, lucky = score("t=9", truth, is_right=True, soundness_weight=2.0)
    slipped = TOLD.replace("7 < 5 no", "7 < 5 yes")
    _, sound = score(slipped, truth, is_right=False, soundness_weight=2.0)
    # (1 - 2) / 3 against (-1 + 2 * (2 * 5/6 - 1)) / 3
    assert lucky.reward == pytest.approx(-1 / 3)
    assert sound.reward == pytest.approx((-1 + 4 / 3) / 3)
    assert sound.reward > lucky.reward


def test_where_only_the_answer_is_wrong_the_answer_is_the_fault(truth):
    completion, found = score(TOLD, truth, is_right=False)
    assert found.fault is not None
    assert completion[slice(*found.fault)] == "</think><output>4</output>"
    assert found.reward == 0.0
    # Where the answer counts for nothing, nothing that counts is false.
    _, found = score(TOLD, truth, is_right=False, outcome_weight=0.0)
    assert found.fault is None and found.reward == 1.0


def test_weights_choose_between_output_and_explanation(truth):
    false = TOLD.replace("t=0", "t=1")
    for weights, reward in (
        ({"outcome_weight": 1.0, "soundness_weight": 0.0}, 1.0),
        ({"outcome_weight": 0.0, "soundness_weight": 1.0}, -1.0),
        ({"outcome_weight": 3.0, "soundness_weight": 1.0}, 0.5),
    ):
        assert score(false, truth, **weights)[1].reward == reward


@pytest.mark.parametrize(
    "completion", ["", "</think>", "<think>t=0", "<output>4</output>", "\x00 ¿?" * 50]
)
def test_any_text_is_scored(completion, truth):
    found = score_prediction(
        completion, truth, is_right=False, config=GroundingReward()
    )
    assert -1.0 <= found.reward <= 0.0


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0)])
def test_weights_that_mean_nothing_are_refused(weights):
    outcome, soundness = weights
    with pytest.raises(UserError, match="one must be above 0"):
        GroundingReward(outcome_weight=outcome, soundness_weight=soundness)
