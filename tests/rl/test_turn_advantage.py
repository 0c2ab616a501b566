"""Advantages of turns: credit times the rollout's, and rewards of their own."""

import dataclasses

import numpy as np
import pytest

from simex.rl.algorithm import Algorithm
from simex.rl.batch import make_micro_batches, make_probe
from simex.rl.selection import select
from simex.rl.turn_advantage import turn_advantages
from simex.rollouts.credit import CreditConfig, give_credit
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sampling.samples import Stop


def turn(task="solve", **changes):
    return Turn(
        task=task,
        prompt_ids=(2, 3),
        completion_ids=(7, 4),
        sampler_logprobs=np.full(2, -0.5, np.float32),
        stop=Stop.STOP_ID,
        text="",
        **changes,
    )


def group(*rollouts):
    return Group(
        objective="solve",
        item_id="p",
        rollouts=tuple(Rollout(turns=turns, reward=r) for r, *turns in rollouts),
    )


def batches_of(groups, *, seq_len=8):
    algorithm = Algorithm(advantage="group_mean")
    selection = select(groups, algorithm=algorithm)
    return make_micro_batches(selection.chosen, rows=2, seq_len=seq_len)


def test_a_turn_gets_its_credit_times_the_advantage_of_its_rollout():
    mixed = group((1.0, turn(credit=0.5), turn()), (-1.0, turn(credit=0.0)))
    # 1 - mean(1, -1) = 1 and -1.
    assert turn_advantages(mixed, "group_mean") == ((0.5, 1.0), (0.0,))


def test_own_rewards_are_compared_with_those_of_the_same_task_in_the_group():
    right = turn("predict_output", reward=0.8, credit=0.0)
    wrong = turn("predict_output", reward=-0.8, credit=0.0)
    mixed = group((1.0, turn(), right, right), (-1.0, turn(), right, wrong))
    # mean(0.8, 0.8, 0.8, -0.8) = 0.4.
    first, second = turn_advantages(mixed, "group_mean")
    assert first == pytest.approx((1.0, 0.4, 0.4))
    assert second == pytest.approx((-1.0, 0.4, -1.2))


def test_gains_of_programs_are_compared_first_with_first_and_fix_with_fix():
    def trajectory(*standing):
        names = ["solve", *["submit_or_fix"] * (len(standing) - 1)]
        config = CreditConfig(rule="gain")
        turns = give_credit([turn(n) for n in names], config, standing=standing)
        return (1.0 if standing[-1] else -1.0, *turns)

    mixed = group(trajectory(True), trajectory(False, True), trajectory(False, False))
    # First programs earn 1, -1, -1 (mean -1/3), fixes 2 and 0 (mean 1).
    first, mended, unmended = turn_advantages(mixed, "group_mean")
    assert first == pytest.approx((4 / 3,))
    assert mended == pytest.approx((-2 / 3, 1.0))
    assert unmended == pytest.approx((-2 / 3, -1.0))


def test_own_rewards_teach_where_all_trajectories_failed():
    right = turn("predict_output", reward=0.8, credit=0.0)
    wrong = turn("predict_output", reward=-0.8, credit=0.0)
    flat = group((-1.0, turn(), right), (-1.0, turn(), wrong))
    assert turn_advantages(flat, "group_mean") == ((0.0, 0.8), (0.0, -0.8))
    arrays = batches_of([flat])[0]
    # Both simulate turns, and the others with advantage 0.
    assert sorted(set(arrays["advantages"].flat)) == pytest.approx([-0.8, 0.0, 0.8])


def test_a_single_own_reward_has_nothing_to_be_compared_with():
    alone = group((1.0, turn("predict_output", reward=0.8, credit=0.0)), (1.0, turn()))
    assert turn_advantages(alone, "group_mean") == ((0.0,), (0.0,))


def test_what_a_verifier_sampled_is_neither_trained_nor_probed():
    foreign = turn(author="nlex/train_sft")
    mixed = group((1.0, turn(), foreign), (-1.0, turn(), foreign))
    assert turn_advantages(mixed, "group_mean") == ((1.0, 0.0), (-1.0, 0.0))
    assert batches_of([mixed])[0]["loss_mask"].sum() == 4
    assert make_probe([group((1.0, foreign))], rows=2, seq_len=8) is None


def test_the_mask_of_a_batch_is_the_provenance_mask_of_its_turns():
    one = dataclasses.replace(turn(), prompt_ids=(2, 9, 3), completion_ids=(7, 4))
    mixed = group((1.0, one), (-1.0, turn()))
    arrays = batches_of([mixed], seq_len=5)[0]
    assert arrays["tokens"].tolist() == [[2, 9, 3, 7, 4], [2, 3, 7, 4, 0]]
    assert arrays["loss_mask"][0].tolist() == one.provenance_mask.tolist()
    assert arrays["loss_mask"][1].tolist() == [0, 0, 1, 1, 0]
