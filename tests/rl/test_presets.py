"""Algorithms by name, and single choices changed."""

import typing

import pytest

from simex.core.errors import UserError
from simex.rl.algorithm import Algorithm
from simex.rl.presets import PRESETS, PresetName, make_algorithm


def test_every_preset_has_a_name_that_an_experiment_may_write():
    names = "paper cwm grpo_trl grpo_verl dr_grpo dapo gspo cispo rloo"
    assert list(PRESETS) == names.split() == list(typing.get_args(PresetName))


def test_a_single_choice_is_changed_and_the_others_stay():
    changed = make_algorithm("paper", {"clip_high": 0.28, "kl": "k3", "std_eps": 1})
    assert (changed.clip_high, changed.kl, changed.std_eps) == (0.28, "k3", 1)
    assert changed.advantage == PRESETS["paper"].advantage


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_hihg": 0.28}, "Did you mean 'clip_high'"),
        ({"clipping": "pppo"}, "There is no clipping 'pppo'"),
        ({"clip_high": "0.28"}, "must be of type float"),
        ({"max_refills": 1.5}, "must be of type int"),
        ({"clip_high": True}, "must be of type float"),
        ({"normaliser_tokens": 0.0}, "normaliser_tokens must be above 0"),
        ({"overlong_buffer_tokens": 0}, "1 to overlong_max_tokens"),
        ({"std_ddof": 2}, "std_ddof 0 or 1"),
        ({"gibberish_rare_share": 2.0}, "from 0 to 1"),
        ({"kl_weight": 0.1}, "needs an estimator of the KL"),
    ],
)
def test_impossible_changes_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        make_algorithm("paper", changes)


def test_a_presets_kl_may_be_switched_off_by_its_estimator():
    assert not make_algorithm("grpo_verl", {"kl": "none"}).has_reference


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(UserError, match="Did you mean 'dapo'"):
        make_algorithm("dapoo")


def test_refills_happen_only_where_they_are_asked_for():
    assert Algorithm(max_refills=3).num_refills == 0
    assert PRESETS["dapo"].num_refills == 3
