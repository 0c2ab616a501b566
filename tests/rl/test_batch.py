"""From chosen rollouts to rows."""

import pytest

from simex.core.errors import UserError
from simex.rl.batch import make_micro_batches, make_probe
from simex.rl.group_metrics import measure_groups
from simex.rl.invariants import check_mask
from simex.rl.presets import PRESETS
from simex.rl.selection import select
from tests.rl.rollout_examples import FAILED, MIXED, PASSED


def batches_of(*groups):
    selection = select(groups, algorithm=PRESETS["dr_grpo"])
    return make_micro_batches(selection.chosen, rows=4, seq_len=8)


def turns_of(*groups):
    return [turn for g in groups for r in g.rollouts for turn in r.turns]


def test_every_turn_shares_the_return_and_prompts_have_no_loss():
    arrays = batches_of(MIXED)[0]
    by_token = dict(zip(arrays["tokens"].flat, arrays["advantages"].flat, strict=True))
    assert by_token[7] == by_token[6] == 1.0  # 1 - mean(1, -1)
    trained = arrays["tokens"][arrays["loss_mask"] > 0].tolist()
    assert sorted(trained) == sorted([7, 4, 6, 5, 4, 5, 4])
    assert (arrays["sampler_logprobs"][arrays["loss_mask"] > 0] == -0.5).all()


def test_the_ids_that_are_trained_are_the_ids_that_were_sampled():
    check_mask(batches_of(MIXED), turns_of(MIXED))


def test_prompts_that_are_shared_lose_nothing():
    selection = select([MIXED] * 3, algorithm=PRESETS["dr_grpo"])
    batches = make_micro_batches(
        selection.chosen, rows=4, seq_len=16, share_prompts=True
    )
    check_mask(batches, turns_of(MIXED, MIXED, MIXED))
    # [2 9 3] has 6 answers of 2 ids and [2 8 3] 3 of 3: 2 + 6 x 3 and 2 + 3 x 4 ids,
    # and one more 2 for the second row that the 20 of the first need; apart 6 x 5 + 3 x 6.
    assert sum((b["segment_ids"] > 0).sum() for b in batches) == 20 + 14 + 2


@pytest.mark.parametrize("name", ["tokens", "prefix_ids"])
def test_a_shared_prompt_that_differs_stops_the_run(name):
    selection = select([MIXED], algorithm=PRESETS["dr_grpo"])
    batches = make_micro_batches(
        selection.chosen, rows=4, seq_len=16, share_prompts=True
    )
    arrays = batches[0]
    shared = (arrays["prefix_ids"] != arrays["segment_ids"]).nonzero()
    arrays[name][shared[0][0], shared[1][0]] = 0
    with pytest.raises(UserError, match="ids that the policy sampled"):
        check_mask(batches, turns_of(MIXED))


@pytest.mark.parametrize("name", ["tokens", "loss_mask", "sampler_logprobs"])
def test_a_row_that_differs_from_what_was_sampled_stops_the_run(name):
    batches = batches_of(MIXED)
    place = batches[0]["loss_mask"].nonzero()
    batches[0][name][place[0][0], place[1][0]] += 1
    with pytest.raises(UserError, match="ids that the policy sampled"):
        check_mask(batches, turns_of(MIXED))


def test_padding_with_a_loss_stops_the_run():
    batches = batches_of(MIXED)
    padding = (batches[0]["segment_ids"] == 0).nonzero()
    batches[0]["loss_mask"][padding[0][0], padding[1][0]] = 1
    with pytest.raises(UserError, match="1 tokens of padding"):
        check_mask(batches, turns_of(MIXED))


def test_flat_groups_are_not_in_the_rows():
    assert batches_of(PASSED) == ()


def test_micro_batches_all_have_one_shape():
    assert {m["tokens"].shape for m in batches_of(*[MIXED] * 5)} == {(4, 8)}


def test_the_probe_holds_flat_groups_and_advantages_of_both_signs():
    probe = make_probe([FAILED, MIXED], rows=4, seq_len=8)
    assert probe is not None
    arrays, turns = probe
    assert len(turns) == 4 and arrays["loss_mask"].sum() == 1 + 1 + 2 + 3
    assert set(arrays["advantages"].flat) == {-1.0, 0.0, 1.0}


def test_flat_groups_are_told_apart_by_why_they_are_flat():
    values = measure_groups([MIXED, PASSED, FAILED, FAILED])
    assert values["solve/flat_all_failed"] == 0.5
    assert values["solve/flat_all_passed"] == 0.25
    assert values["solve/passed"] == values["solve/part/passed"] == 3 / 8
    assert values["solve/reward"] == -2 / 8
    assert values["solve/tokens_when_passed"] == (5 + 1 + 1) / 3
    assert values["solve/tokens_when_failed"] == (2 + 1 * 4) / 5
    assert values["solve/stop/stop_id"] == 1.0
