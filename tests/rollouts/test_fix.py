"""Groups that mend one failing attempt, with a scripted policy and the real judge."""

import dataclasses

import pytest

from simex.core.errors import InfraError, UserError
from simex.rollouts import attempt as attempt_
from simex.rollouts.fix import FixObjective
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve, submit_or_fix
from tests.scripted import PROBLEM, RIGHT, WRONG, NoRoomToFix, Script

OTHER = dataclasses.replace(PROBLEM, id="other")
SUBMIT = submit_or_fix.render_target("", None)


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


def program(source):
    return solve.render_target("", source)


def collect(pool, answers, *, problems=(PROBLEM,), group_size=2):
    objective = FixObjective(weight=1.0, group_size=group_size)
    policy = Script(list(answers))
    groups = objective.collect(policy, problems, pool=pool, seed_path=(0, 0, 0))
    assert not policy.answers, "the whole script was asked for"
    return groups, policy


def test_one_failing_attempt_is_shown_to_the_whole_group(pool):
    answers = [program(RIGHT), program(WRONG), program(RIGHT), SUBMIT, program(WRONG)]
    (group,), policy = collect(pool, answers, group_size=3)
    assert len(set(policy.prompts[2:])) == 1
    assert policy.prompts[2].endswith("## Output for the attempt\n0\n")
    # Mended, submitted as it fails, and wrong again: only the fixes are trained.
    assert [r.reward for r in group.rollouts] == [1.0, -1.0, -1.0]
    assert [[t.task for t in r.turns] for r in group.rollouts] == [
        ["submit_or_fix"]
    ] * 3
    assert [r.parts["mended"] for r in group.rollouts] == [1.0, 0.0, 0.0]
    assert [r.parts["submitted"] for r in group.rollouts] == [0.0, 1.0, 0.0]


def test_where_nothing_fails_the_attempts_are_the_group(pool):
    # The other problem's first attempt fails; its two fixes come after all attempts.
    answers = [program(RIGHT)] * 2 + [program(WRONG), program(RIGHT)] + [SUBMIT] * 2
    groups, _ = collect(pool, answers, problems=(PROBLEM, OTHER))
    whole, mended = groups
    assert (whole.item_id, mended.item_id) == ("sum", "other")
    assert [t.task for r in whole.rollouts for t in r.turns] == ["solve", "solve"]
    assert [r.reward for r in whole.rollouts] == [1.0, 1.0]
    assert "mended" not in whole.rollouts[0].parts
    assert [r.reward for r in mended.rollouts] == [-1.0, -1.0]


def test_what_fails_hidden_tests_alone_is_not_shown(pool):
    # It passes the public test, 1 2 -> 3, and fails the hidden one.
    groups, policy = collect(pool, [program("print(3)\n"), program(RIGHT)])
    assert len(policy.prompts) == 2
    assert [r.reward for r in groups[0].rollouts] == [-1.0, 1.0]


def test_a_fault_of_ours_is_no_failure_and_no_reward(pool, monkeypatch):
    def fail(pool, items, *, early_stop):
        return [InfraError("the box is gone") for _ in items]

    monkeypatch.setattr(attempt_, "judge_all", fail)
    groups, policy = collect(pool, [program(WRONG)] * 2)
    assert len(policy.prompts) == 2
    assert [r.reward for r in groups[0].rollouts] == [None, None]


def test_a_group_of_one_is_one_rollout(pool):  # as validation asks
    groups, _ = collect(pool, [program(RIGHT)] * 2, group_size=1)
    assert [r.reward for r in groups[0].rollouts] == [1.0]
    groups, _ = collect(pool, [program(RIGHT), program(WRONG), SUBMIT], group_size=1)
    assert [r.reward for r in groups[0].rollouts] == [-1.0]


def test_where_there_is_no_room_for_a_fix_no_turn_of_another_task_learns(pool):
    policy = NoRoomToFix([program(RIGHT), program(WRONG)] + [""] * 4)
    objective = FixObjective(weight=1.0, group_size=4, attempts=2)
    (group,) = objective.collect(policy, [PROBLEM], pool=pool, seed_path=(0, 0, 0))
    assert [(r.turns, r.end.value) for r in group.rollouts] == [((), "no_room")] * 4
    assert all(r.parts["asked"] == 0.0 for r in group.rollouts)


def test_there_must_be_an_attempt():
    with pytest.raises(UserError, match="attempts"):
        FixObjective(weight=1.0, attempts=0)
