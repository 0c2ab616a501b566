"""Trajectories of the solving objective, with a scripted policy and the real judge."""

import pytest

from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.solve import SolveObjective
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve
from simex.tasks.predict_output import PredictionItem
from tests.scripted import PROBLEM, RIGHT, WRONG, Script


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


def collect(pool, answers, *, group_size, max_fixes=1):
    objective = SolveObjective(weight=1.0, group_size=group_size, max_fixes=max_fixes)
    policy = Script(answers)
    (group,) = objective.collect(policy, [PROBLEM], pool=pool, seed_path=(0,))
    return group, policy


def answer(source):
    return solve.render_target("", source)


def test_a_program_that_passes_every_test_earns_1_and_one_that_fails_minus_1(pool):
    group, _ = collect(pool, [answer(RIGHT), answer(WRONG)], group_size=2, max_fixes=0)
    assert [r.reward for r in group.rollouts] == [1.0, -1.0]
    assert group.rollouts[0].notes["verdicts"] == "accepted accepted"


def test_the_fix_prompt_shows_what_the_attempt_really_printed(pool):
    group, policy = collect(pool, [answer(WRONG), answer(RIGHT)], group_size=1)
    assert policy.prompts[1].endswith(
        "## Expected Output\n3\n## Output for the attempt\n0\n"
    )
    # Hidden tests stay hidden.
    assert "4 5" not in policy.prompts[1]
    (rollout,) = group.rollouts
    assert rollout.reward == 1.0 and len(rollout.turns) == 2


def test_submitting_keeps_the_attempt_and_its_judgement(pool):
    group, _ = collect(pool, [answer(WRONG), answer("#SUBMIT\n")], group_size=1)
    (rollout,) = group.rollouts
    assert rollout.reward == -1.0 and rollout.parts["submitted"] == 1.0


def test_a_right_program_that_is_replaced_by_a_wrong_one_is_wrong(pool):
    group, _ = collect(pool, [answer(RIGHT), answer(WRONG)], group_size=1)
    assert group.rollouts[0].reward == -1.0


def test_a_completion_without_a_program_fails_and_is_not_asked_again(pool):
    group, policy = collect(pool, ["no program"], group_size=1)
    assert group.rollouts[0].reward == -1.0
    assert group.rollouts[0].parts["refused"] == 1.0
    assert len(policy.prompts) == 1


def test_a_prediction_earns_the_scaled_reward_for_the_exact_stdout():
    item = PredictionItem(
        id="p",
        group="g",
        role="wrong",
        source=WRONG,
        stdin="1 2\n",
        stdout="0\n",
        checker="codecontests",
    )
    objective = PredictOutputObjective(weight=1.0, group_size=3)
    policy = Script(
        ["</think><output>0</output>", "</think><output>3</output>", "</think>"]
    )
    (group,) = objective.collect(policy, [item], pool=None, seed_path=(0,))
    assert [r.reward for r in group.rollouts] == [0.8, -0.8, -0.8]
    # The prompt holds the program, not what it was meant to do.
    assert "sum" not in policy.prompts[0]
