"""From groups to rows."""

import numpy as np

from simex.rl.batch import make_batch, make_probe
from simex.rl.group_metrics import measure_groups
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sampling.samples import Stop


def turn(prompt, completion):
    return Turn(
        task="solve",
        prompt_ids=tuple(prompt),
        completion_ids=tuple(completion),
        sampler_logprobs=np.full(len(completion), -0.5, np.float32),
        stop=Stop.STOP_ID,
        text="",
    )


def rollout(reward, *turns):
    return Rollout(
        turns=turns,
        reward=reward,
        parts={"passed": float((reward or 0) > 0), "refused": 0.0},
    )


def group(*rollouts):
    return Group(objective="solve", item_id="p", rollouts=rollouts)


MIXED = group(
    rollout(1.0, turn([2, 9, 3], [7, 4]), turn([2, 8, 3], [6, 5, 4])),
    rollout(-1.0, turn([2, 9, 3], [5, 4])),
)
FLAT = group(rollout(1.0, turn([2, 3], [4])), rollout(1.0, turn([2, 3], [4])))


def batch_of(*groups):
    return make_batch(groups, advantage="group_mean", rows=4, seq_len=8)


def test_every_turn_shares_the_return_and_prompts_have_no_loss():
    arrays = batch_of(MIXED).micro_batches[0]
    by_token = dict(zip(arrays["tokens"].flat, arrays["advantages"].flat, strict=True))
    assert by_token[7] == by_token[6] == 1.0  # 1 - mean(1, -1)
    trained = arrays["tokens"][arrays["loss_mask"] > 0].tolist()
    assert sorted(trained) == sorted([7, 4, 6, 5, 4, 5, 4])
    assert (arrays["sampler_logprobs"][arrays["loss_mask"] > 0] == -0.5).all()


def test_the_ids_that_are_trained_are_the_ids_that_were_sampled():
    arrays = batch_of(MIXED).micro_batches
    rows = [
        (m["tokens"][r][m["segment_ids"][r] == s].tolist())
        for m in arrays
        for r in range(4)
        for s in range(1, 1 + m["segment_ids"][r].max())
    ]
    assert sorted(rows) == [[2, 8, 3, 6, 5, 4], [2, 9, 3, 5, 4], [2, 9, 3, 7, 4]]


def test_flat_groups_are_not_trained_on_but_stay_in_the_denominator():
    batch = batch_of(MIXED, FLAT)
    assert batch.num_rollouts == 4 and batch.num_trained == 2
    assert batch_of(FLAT).micro_batches == ()


def test_a_rollout_lost_to_a_fault_of_ours_is_left_out_and_counted():
    lost = rollout(None, turn([2, 3], [4]))
    batch = batch_of(group(*MIXED.rollouts, lost))
    assert batch.num_lost == 1 and batch.num_rollouts == 2
    # The baseline is that of the two that remain: 1 - 0 and -1 - 0.
    assert set(batch.micro_batches[0]["advantages"].flat) == {1.0, -1.0, 0.0}


def test_micro_batches_all_have_one_shape():
    many = [MIXED] * 5
    assert {m["tokens"].shape for m in batch_of(*many).micro_batches} == {(4, 8)}


def test_the_probe_holds_flat_groups_with_advantage_0():
    probe = make_probe([FLAT], rows=4, seq_len=8)
    assert probe is not None
    assert not probe["advantages"].any() and probe["loss_mask"].sum() == 2


def test_flat_groups_are_told_apart_by_why_they_are_flat():
    failed = group(rollout(-1.0, turn([2], [4])), rollout(-1.0, turn([2], [4])))
    values = measure_groups([MIXED, FLAT, failed, failed])
    assert values["solve/flat_all_failed"] == 0.5
    assert values["solve/flat_all_passed"] == 0.25
    assert values["solve/passed"] == 3 / 8
    assert values["solve/reward"] == -2 / 8
