"""Golden trajectories: a scripted policy, the real judge, every setting of feedback."""

import dataclasses

import numpy as np
import pytest

from simex.core.errors import InfraError, UserError
from simex.problems.problem import TestCase, Visibility
from simex.rollouts import attempt as attempt_
from simex.rollouts.credit import CreditConfig
from simex.rollouts.feedback import EXECUTED, PREDICTED, Feedback
from simex.rollouts.rollout import End
from simex.rollouts.solve import SolveObjective
from simex.sampling.samples import Stop
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve, submit_or_fix
from tests.scripted import PROBLEM, RIGHT, WRONG, NoRoomToFix, Script

PUBLIC, PRIVATE = PROBLEM.tests
# Two public tests, 1 2 -> 3 and 2 2 -> 4, and a hidden one.
TWO = dataclasses.replace(
    PROBLEM,
    tests=(
        PUBLIC,
        dataclasses.replace(PUBLIC, stdin="2 2\n", expected_stdout="4\n"),
        PRIVATE,
    ),
)
PREDICTING = Feedback(sources=(PREDICTED,))
SUBMIT = submit_or_fix.render_target("", None)


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


def program(source):
    return solve.render_target("", source)


def predict(output):
    return f"</think><output>{output}</output>"


def collect(pool, answers, *, problem=TWO, policy=None, **settings):
    objective = SolveObjective(weight=1.0, group_size=1, **settings)
    policy = Script(answers) if policy is None else policy
    (group,) = objective.collect(policy, [problem], pool=pool, seed_path=(0, 0, 0))
    assert not policy.answers, "the whole script was asked for"
    return group.rollouts[0], policy


def tasks(rollout):
    return [turn.task for turn in rollout.turns]


def test_predicted_feedback_shows_what_the_policy_says_and_not_what_is_true(pool):
    answers = [program(WRONG), predict("3"), predict("8"), SUBMIT]
    rollout, policy = collect(pool, answers, feedback=PREDICTING)
    assert tasks(rollout) == [
        "solve",
        "predict_output",
        "predict_output",
        "submit_or_fix",
    ]
    # WRONG prints 0; the policy believes 3 and 8.
    assert "## Output for the attempt\n3\n" in policy.prompts[3]
    assert policy.prompts[3].endswith("## Output for the attempt\n8\n")
    assert "## Output for the attempt\n0" not in policy.prompts[3]
    # It submits on its belief, and the judge decides.
    assert rollout.reward == -1.0 and rollout.end is End.SUBMITTED


def test_executed_feedback_asks_for_no_prediction(pool):
    rollout, policy = collect(pool, [program(WRONG), program(RIGHT)])
    assert tasks(rollout) == ["solve", "submit_or_fix"]
    assert policy.prompts[1].count("## Output for the attempt\n0\n") == 2
    assert rollout.reward == 1.0 and rollout.parts["fixed"] == 1.0


def test_executed_feedback_says_how_a_program_failed(pool):
    _, policy = collect(pool, [program("1 / 0"), SUBMIT])
    assert policy.prompts[1].count("## Output for the attempt\nruntime_error\n") == 2


def test_every_turn_is_a_prompt_of_its_own_with_only_what_it_needs(pool):
    answers = [program(WRONG), predict("0"), predict("0"), program(RIGHT)]
    _, policy = collect(pool, answers, feedback=PREDICTING)
    first, simulate, second, fix = policy.prompts
    assert first.startswith(TWO.statement) and "4 5" not in first
    # To simulate is to see the program and one stdin: no statement, no expected output.
    assert simulate == "[PYTHON]\nprint(0)\n[/PYTHON]\n## Input\n1 2"
    assert second == "[PYTHON]\nprint(0)\n[/PYTHON]\n## Input\n2 2"
    assert TWO.statement in fix and "print(0)" in fix and "4 5" not in fix


def test_a_prediction_prompt_holds_neither_statement_nor_expected_output(pool):
    marked = dataclasses.replace(
        TWO,
        statement="STATEMENT",
        tests=tuple(
            dataclasses.replace(t, expected_stdout=f"EXPECTED{i}\n")
            for i, t in enumerate(TWO.tests)
        ),
    )
    answers = [program(WRONG), predict("0"), predict("0"), SUBMIT]
    rollout, _ = collect(pool, answers, problem=marked, feedback=PREDICTING)
    for turn in rollout.turns:
        if turn.task == "predict_output":
            assert "STATEMENT" not in turn.prompt and "EXPECTED" not in turn.prompt


def test_fixes_go_on_until_the_limit_and_then_the_last_program_counts(pool):
    answers = [program(WRONG), program("print(1)\n"), program("print(3)\n")]
    rollout, _ = collect(pool, answers, max_fixes=2)
    assert rollout.end is End.TURN_LIMIT and rollout.reward == -1.0
    assert [p.source for p in rollout.programs] == [
        "print(0)\n",
        "print(1)\n",
        "print(3)\n",
    ]
    assert [t.verdict for t in rollout.programs[2].tests] == [
        "accepted",
        "wrong_output",
        "wrong_output",
    ]


def test_a_submitted_program_is_not_asked_about_again(pool):
    rollout, policy = collect(pool, [program(RIGHT), SUBMIT], max_fixes=9)
    assert len(policy.prompts) == 2
    assert rollout.reward == 1.0 and rollout.end is End.SUBMITTED


def test_what_passes_by_its_feedback_may_be_submitted_without_asking(pool):
    rollout, _ = collect(pool, [program(RIGHT)], fix_when="failing", max_fixes=3)
    assert tasks(rollout) == ["solve"] and rollout.end is End.SUBMITTED
    assert rollout.reward == 1.0 and rollout.parts["submitted"] == 1.0
    # What fails is asked about, and submitted as soon as it passes.
    rollout, _ = collect(
        pool, [program(WRONG), program(RIGHT)], fix_when="failing", max_fixes=3
    )
    assert tasks(rollout) == ["solve", "submit_or_fix"]
    assert rollout.reward == 1.0 and rollout.end is End.SUBMITTED


def test_predictions_decide_what_is_submitted_where_they_are_the_feedback(pool):
    answers = [program(WRONG), predict("3"), predict("4")]
    rollout, _ = collect(pool, answers, feedback=PREDICTING, fix_when="failing")
    assert rollout.end is End.SUBMITTED and rollout.reward == -1.0
    answers = [program(RIGHT), predict("3"), predict("5"), SUBMIT]
    rollout, _ = collect(pool, answers, feedback=PREDICTING, fix_when="failing")
    assert tasks(rollout)[-1] == "submit_or_fix" and rollout.reward == 1.0


def test_a_refused_prediction_passes_nothing_even_where_nothing_is_to_be_printed(pool):
    test = TestCase(stdin="", expected_stdout="", visibility=Visibility.PUBLIC)
    silent = dataclasses.replace(TWO, tests=(test,))
    answers = [program("pass"), "no tags", SUBMIT]
    rollout, _ = collect(
        pool, answers, problem=silent, feedback=PREDICTING, fix_when="failing"
    )
    assert tasks(rollout)[-1] == "submit_or_fix" and rollout.reward == 1.0
    rollout, _ = collect(
        pool,
        [program("pass"), predict("")],
        problem=silent,
        feedback=PREDICTING,
        fix_when="failing",
    )
    assert tasks(rollout)[-1] == "predict_output" and rollout.end is End.SUBMITTED


def test_an_unknown_moment_to_fix_is_refused():
    with pytest.raises(UserError, match="fix_when"):
        SolveObjective(weight=1.0, fix_when="never")


def test_a_fix_that_breaks_a_right_program_is_counted_as_a_break(pool):
    rollout, _ = collect(pool, [program(RIGHT), program(WRONG)])
    assert (rollout.parts["broken"], rollout.parts["fixed"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("fix", "end", "refusal"),
    [
        ("</think>#SUBMIT", End.REFUSED, "no_answer"),
        ("</think></think>" + SUBMIT[15:], End.REFUSED, "several_thoughts"),
        (program(RIGHT) + "\n```python\n1\n```", End.REFUSED, "several_answers"),
        (program(RIGHT) + "\n```\nexample\n```", End.REFUSED, "several_answers"),
        ("```python\nprint(1)\n```", End.REFUSED, "no_end_of_thought"),
    ],
)
def test_a_fix_is_accepted_only_by_the_rule_and_a_refusal_says_why(
    pool, fix, end, refusal
):
    # RIGHT would have passed; what is refused replaces it by nothing.
    rollout, _ = collect(pool, [program(RIGHT), fix])
    assert rollout.end is end and rollout.refusals == (refusal,)
    assert rollout.reward == -1.0 and rollout.parts["refused"] == 1.0


def test_submit_beside_other_code_is_a_program_and_no_submission(pool):
    rollout, _ = collect(pool, [program(RIGHT), program("#SUBMIT\nprint(0)")])
    assert rollout.end is End.TURN_LIMIT and rollout.parts["submitted"] == 0.0
    assert rollout.reward == -1.0


def test_a_refused_prediction_shows_an_empty_output_and_is_counted(pool):
    answers = [program(RIGHT), "no tags", predict("4"), SUBMIT]
    rollout, policy = collect(pool, answers, feedback=PREDICTING)
    assert "## Output for the attempt\n\n" in policy.prompts[3]
    assert rollout.refusals == ("no_end_of_thought",)
    assert rollout.reward == 1.0


def test_feedback_may_change_from_turn_to_turn(pool):
    answers = [program(WRONG), program(RIGHT), predict("3"), predict("4"), SUBMIT]
    rollout, _ = collect(
        pool, answers, max_fixes=2, feedback=Feedback(sources=(EXECUTED, PREDICTED))
    )
    assert [p.feedback for p in rollout.programs] == ["executed", "predicted"]
    assert rollout.parts["predicted_right"] == 1.0


def test_a_verifier_predicts_and_what_it_says_is_not_trained(pool):
    policy = Script([program(RIGHT), SUBMIT])
    policy.verifiers["nlex/train_sft"] = Script([predict("3"), predict("5")])
    feedback = Feedback(sources=(PREDICTED,), verifier="nlex/train_sft")
    rollout, _ = collect(pool, [], policy=policy, feedback=feedback)
    assert [turn.author for turn in rollout.turns] == [
        "policy",
        "nlex/train_sft",
        "nlex/train_sft",
        "policy",
    ]
    # Prompt ids are never the policy's, nor is what somebody else sampled.
    assert [turn.provenance_mask.tolist() for turn in rollout.turns] == [
        [0, 0, 1, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 1, 1],
    ]
    assert rollout.num_tokens == 4
    assert rollout.programs[0].tests[1].is_prediction_right is False


def test_a_verifier_that_is_not_at_hand_is_refused(pool):
    feedback = Feedback(sources=(PREDICTED,), verifier="nlex/train_sft")
    with pytest.raises(UserError, match="no verifier 'nlex/train_sft'"):
        collect(pool, [program(RIGHT)], feedback=feedback)


def test_a_schedule_goes_from_executed_to_predicted_by_the_policys_version():
    feedback = Feedback(sources=("scheduled",), first_step=10, last_step=30)
    shares = [feedback.predicted_share(fix=1, step=s) for s in (0, 10, 15, 30, 99)]
    assert shares == [0.0, 0.0, 0.25, 1.0, 1.0]
    chosen = [feedback.choose(fix=1, step=15, path=(7, i)) for i in range(400)]
    assert 70 < chosen.count(PREDICTED) < 130  # 100 ± 3.5 standard deviations
    again = [feedback.choose(fix=1, step=15, path=(7, i)) for i in range(400)]
    assert chosen == again


def test_a_schedule_in_a_rollout_follows_the_version(pool):
    feedback = Feedback(sources=("scheduled",), first_step=0, last_step=5)
    rollout, _ = collect(pool, [program(RIGHT), SUBMIT], feedback=feedback)
    assert rollout.programs[0].feedback == "executed"
    late = Script([program(RIGHT), predict("3"), predict("4"), SUBMIT], version=5)
    rollout, _ = collect(pool, [], policy=late, feedback=feedback)
    assert rollout.programs[0].feedback == "predicted"


@pytest.mark.parametrize(
    "wrong",
    [{"sources": ()}, {"sources": ("scheduled",)}, {"sources": ("guessed",)}],
)
def test_impossible_feedback_is_refused(wrong):
    with pytest.raises(UserError):
        Feedback(**wrong)


def test_simulate_turns_may_earn_a_reward_of_their_own(pool):
    # WRONG prints 0 whatever it reads: the first prediction is right.
    answers = [program(WRONG), predict("0"), predict("4"), program(RIGHT)]
    rollout, _ = collect(
        pool,
        answers,
        feedback=PREDICTING,
        credit=CreditConfig(simulate_reward=0.8),
    )
    assert [turn.reward for turn in rollout.turns] == [None, 0.8, -0.8, None]
    assert rollout.reward == 1.0


def test_a_crash_has_no_output_to_predict_and_so_no_reward(pool):
    answers = [program("1 / 0"), predict("0"), predict("0"), SUBMIT]
    rollout, _ = collect(
        pool,
        answers,
        feedback=PREDICTING,
        credit=CreditConfig(simulate_reward=0.8),
    )
    assert [turn.reward for turn in rollout.turns] == [None] * 4
    assert "predicted_right" not in rollout.parts


def test_a_fault_of_ours_ends_the_attempt_without_a_reward(pool, monkeypatch):
    def fail(pool, items, *, early_stop):
        return [InfraError("the box is gone") for _ in items]

    monkeypatch.setattr(attempt_, "judge_all", fail)
    rollout, _ = collect(pool, [program(RIGHT)])
    assert rollout.reward is None and rollout.end is End.NO_FEEDBACK
    assert rollout.programs[0].fault == "the box is gone"


def test_what_a_fault_of_ours_hides_is_nobodys_gain(pool, monkeypatch):
    judge_all, calls = attempt_.judge_all, []

    def fail_once(pool, items, *, early_stop):
        calls.append(list(items))
        if len(calls) == 1:
            return [InfraError("the box is gone") for _ in calls[0]]
        return judge_all(pool, calls[-1], early_stop=early_stop)

    monkeypatch.setattr(attempt_, "judge_all", fail_once)
    # The first program is never judged; the policy doubts it and writes a right one.
    answers = [program(WRONG), predict("0"), predict("0"), program(RIGHT)]
    rollout, _ = collect(
        pool, answers, feedback=PREDICTING, credit=CreditConfig(rule="gain")
    )
    assert rollout.reward == 1.0
    programs = [t for t in rollout.turns if t.task != "predict_output"]
    assert [(t.reward, t.credit) for t in programs] == [(None, 0.0), (None, 0.0)]


def test_a_prompt_without_room_is_no_answer_of_the_policys(pool):
    class NoRoom(Script):
        def _turn(self, query, text):
            turn = super()._turn(query, text)
            return dataclasses.replace(
                turn,
                completion_ids=(),
                sampler_logprobs=np.zeros(0, np.float32),
                stop=Stop.LENGTH,
                text="",
            )

    rollout, _ = collect(pool, [], policy=NoRoom([""]))
    assert rollout.refusals == ("no_room",) and not rollout.turns[0].is_trained


def test_a_fix_that_there_is_no_room_to_ask_for_leaves_the_program_standing(pool):
    rollout, _ = collect(pool, [], policy=NoRoomToFix([program(RIGHT), ""]))
    assert rollout.reward == 1.0 and len(rollout.turns) == 1
    assert rollout.end.value == "no_room" and rollout.parts["broken"] == 0.0
