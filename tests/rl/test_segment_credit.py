"""Which tokens of a turn are praised or blamed."""

import dataclasses

import numpy as np
import pytest

from simex.rl.batch import make_micro_batches
from simex.rl.presets import make_algorithm
from simex.rl.segment_credit import SEGMENT_CREDITS
from simex.rl.selection import select
from tests.rl.rollout_examples import group, rollout, turn


@pytest.mark.parametrize(
    ("name", "advantage", "tokens"),
    [
        ("whole", 1.0, [1, 1, 1, 1, 1]),
        ("whole", -1.0, [-1, -1, -1, -1, -1]),
        ("until_and_from_fault", 1.0, [1, 1, 0, 0, 0]),
        ("until_and_from_fault", -1.0, [0, 0, -1, -1, -1]),
        ("until_and_at_fault", 1.0, [1, 1, 0, 0, 0]),
        ("until_and_at_fault", -1.0, [0, 0, -1, -1, 0]),
    ],
)
def test_five_tokens_with_a_fault_at_the_third_and_fourth(name, advantage, tokens):
    assert SEGMENT_CREDITS[name](advantage, 5, (2, 4)).tolist() == tokens


@pytest.mark.parametrize("name", sorted(SEGMENT_CREDITS))
def test_without_a_fault_every_token_has_the_advantage(name):
    assert SEGMENT_CREDITS[name](-0.5, 3, None).tolist() == [-0.5] * 3


def faulty(completion, fault):
    return dataclasses.replace(turn([2], completion), fault=fault)


def test_rows_hold_the_advantage_of_each_token():
    lucky = rollout(1.0, faulty([5, 6, 7, 4], (1, 2)))
    wrong = rollout(-1.0, faulty([8, 9, 4], (2, 3)))
    algorithm = make_algorithm(
        "dr_grpo", {"segment_credit": "until_and_from_fault", "normaliser_tokens": 1.0}
    )
    found = select([group(lucky, wrong)], algorithm=algorithm)
    arrays = make_micro_batches(found.chosen, rows=1, seq_len=16)[0]
    trained = arrays["loss_mask"] > 0
    given = dict(
        zip(
            arrays["tokens"][trained].tolist()[:3],
            arrays["advantages"][trained].tolist()[:3],
            strict=True,
        )
    )
    # Group mean 0: 1 until the fault of the one, -1 from that of the other.
    assert given == {5: 1.0, 6: 0.0, 7: 0.0}
    assert sorted(arrays["advantages"][trained].tolist()) == [-1, 0, 0, 0, 0, 0, 1]
    # One token is pushed up and one down.
    assert found.net_push == 0.0
    assert np.abs(arrays["advantages"]).sum() == 2.0
