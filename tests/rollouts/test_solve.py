"""Trajectories of the solving objective, with a scripted policy and the real judge."""

import dataclasses
import json

import pytest

from simex.core.errors import UserError
from simex.problems.problem import Limits
from simex.rollouts.credit import CreditConfig
from simex.rollouts.measures import measure_rollouts
from simex.rollouts.predict_output import PredictOutputObjective, mix_roles
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


@pytest.mark.parametrize(("tolerance", "reward"), [(None, -1.0), (0.01, 1.0)])
def test_a_program_is_judged_with_the_tolerance_of_its_problem(pool, tolerance, reward):
    # The sum of 1 and 2 is 3, of 4 and 5 is 9: 3.01 and 9.01 are off by 0.01.
    problem = dataclasses.replace(PROBLEM, checker="lines", float_tol=tolerance)
    objective = SolveObjective(weight=1.0, group_size=1, max_fixes=0)
    policy = Script([answer(RIGHT.replace("print(", "print(0.01 + "))])
    (group,) = objective.collect(policy, [problem], pool=pool, seed_path=(0,))
    assert group.rollouts[0].reward == reward


def test_a_program_has_the_time_that_its_problem_grants(pool):
    slow = "import time\nwhile time.process_time() < 0.5: pass\n" + RIGHT
    objective = SolveObjective(weight=1.0, group_size=1, max_fixes=0)
    for seconds, verdict in ((0.2, "time_limit"), (2.0, "accepted")):
        problem = dataclasses.replace(PROBLEM, limits=Limits(cpu_secs=seconds))
        policy = Script([answer(slow)])
        (group,) = objective.collect(policy, [problem], pool=pool, seed_path=(0,))
        assert group.rollouts[0].notes["verdicts"] == f"{verdict} {verdict}"


@pytest.mark.parametrize(
    ("answers", "gains"),
    [
        ([RIGHT, "#SUBMIT\n"], [1.0, 0.0]),
        ([WRONG, "#SUBMIT\n"], [-1.0, 0.0]),
        ([WRONG, RIGHT], [-1.0, 2.0]),
        ([RIGHT, WRONG], [1.0, -2.0]),
    ],
)
def test_with_gains_a_fix_answers_for_what_it_changed_alone(pool, answers, gains):
    objective = SolveObjective(
        weight=1.0, group_size=1, credit=CreditConfig(rule="gain")
    )
    policy = Script([answer(source) for source in answers])
    (group,) = objective.collect(policy, [PROBLEM], pool=pool, seed_path=(0,))
    assert [turn.reward for turn in group.rollouts[0].turns] == gains


def test_gains_have_the_scale_of_the_reward(pool):
    objective = SolveObjective(
        weight=1.0, group_size=1, reward_scale=0.5, credit=CreditConfig(rule="gain")
    )
    policy = Script([answer(WRONG), answer(RIGHT)])
    (group,) = objective.collect(policy, [PROBLEM], pool=pool, seed_path=(0,))
    # From -0.5 to 0.5.
    assert [turn.reward for turn in group.rollouts[0].turns] == [-0.5, 1.0]


@pytest.mark.parametrize(
    ("answers", "gains"),
    [(["no program"], [-1.0]), ([answer(RIGHT), "no program"], [1.0, -2.0])],
)
def test_a_refused_answer_leaves_no_program_standing(pool, answers, gains):
    objective = SolveObjective(
        weight=1.0, group_size=1, credit=CreditConfig(rule="gain")
    )
    (group,) = objective.collect(Script(answers), [PROBLEM], pool=pool, seed_path=(0,))
    assert [turn.reward for turn in group.rollouts[0].turns] == gains


def item_of(role, number):
    return PredictionItem(
        id=f"{role}/{number}",
        group="g",
        role=role,
        source=WRONG,
        stdin="",
        stdout="0\n",
        checker="codecontests",
    )


@pytest.mark.parametrize(
    ("share", "right", "wrong"),
    # Of 6 right and 2 wrong programs; 0.1 of 6/0.9 = 6.67 is 0.67, so one is kept.
    [(0.5, 2, 2), (0.25, 6, 2), (0.0, 6, 0), (1.0, 0, 2), (0.1, 6, 1), (0.75, 1, 2)],
)
def test_the_share_of_wrong_programs_is_a_setting(share, right, wrong):
    items = [item_of("right", i) for i in range(6)]
    items[1:1] = [item_of("wrong", i) for i in range(2)]
    kept = mix_roles(items, wrong_share=share)
    roles = [item.role for item in kept]
    assert (roles.count("right"), roles.count("wrong")) == (right, wrong)
    for role in ("right", "wrong"):  # the first ones of each, in their order
        own = [item for item in items if item.role == role]
        chosen = [item for item in kept if item.role == role]
        assert chosen == own[: len(chosen)]


@pytest.mark.parametrize("share", [0.25, 0.5, 0.7])
def test_the_first_items_have_the_share_of_wrong_programs_too(share, tmp_path):
    # One right and one wrong program of each problem, as `run_programs` leaves them.
    items = [item_of(role, i) for i in range(20) for role in ("right", "wrong")]
    path = tmp_path / "run_programs" / "rl.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(dataclasses.asdict(i)) + "\n" for i in items))
    for most in (4, 8, 20):
        objective = PredictOutputObjective(
            weight=1.0, wrong_share=share, max_items=most
        )
        chosen = objective.load_items(tmp_path)
        num_wrong = sum(item.role == "wrong" for item in chosen)
        assert len(chosen) == most and abs(num_wrong - share * most) <= 0.5


def test_a_share_that_no_item_can_give_is_refused():
    with pytest.raises(UserError, match="6 right and 0 wrong"):
        mix_roles([item_of("right", i) for i in range(6)], wrong_share=1.0)
    with pytest.raises(UserError, match="in 0..1"):
        PredictOutputObjective(weight=1.0, wrong_share=1.5)


def test_what_happened_is_counted_under_fixed_names(pool):
    answers = [answer(WRONG), "none", answer(RIGHT), answer("#SUBMIT")]
    # Three rollouts at once: first programs WRONG, none, RIGHT; then WRONG submits
    # (the script's next answer) and RIGHT is replaced by WRONG.
    group, _ = collect(pool, [*answers, answer(WRONG)], group_size=3)
    values = measure_rollouts([group])
    assert values["solve/end/submitted"] == values["solve/end/refused"] == 1 / 3
    assert values["solve/end/turn_limit"] == 1 / 3
    assert values["solve/refused_for/no_end_of_thought"] == 1 / 3
    assert values["solve/refused_for/truncated"] == 0.0
    assert [r.parts["broken"] for r in group.rollouts] == [0.0, 0.0, 1.0]
    # Two last programs, both WRONG, with two tests each.
    assert values["solve/verdict/wrong_output"] == 1.0


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


def test_a_prediction_of_a_written_newline_is_right_as_it_is_written():
    item = dataclasses.replace(item_of("right", 0), stdout="'a\\nb'\n", checker="lines")
    objective = PredictOutputObjective(weight=1.0, group_size=2)
    policy = Script([f"</think><output>{q}a\\nb{q}</output>" for q in ("'", "")])
    (group,) = objective.collect(policy, [item], pool=None, seed_path=(0,))
    assert [r.reward for r in group.rollouts] == [0.8, -0.8]


def test_a_prediction_is_compared_with_the_tolerance_of_its_problem():
    item = dataclasses.replace(item_of("right", 0), stdout="0.5\n", checker="lines")
    objective = PredictOutputObjective(weight=1.0, group_size=1)
    for tolerance, reward in ((None, -0.8), (0.01, 0.8)):
        (group,) = objective.collect(
            Script(["</think><output>0.505</output>"]),
            [dataclasses.replace(item, float_tol=tolerance)],
            pool=None,
            seed_path=(0,),
        )
        assert group.rollouts[0].reward == reward
