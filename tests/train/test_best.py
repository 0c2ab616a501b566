"""The best checkpoint: which it is, and that nothing on the way ever loses it."""

import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.sharding.mesh import make_mesh
from simex.train.best import BestSoFar, find_best, refuse_unknown_metric
from simex.train.checkpoint import Checkpoints
from simex.train.saved_params import load_params, split_choice
from tests.train.one_save import REWARD

LOSS = "validation/loss"
MODEL = ModelConfig(
    vocab_size=16,
    d_model=8,
    num_layers=1,
    num_query_heads=1,
    num_kv_heads=1,
    head_dim=8,
    d_ff=8,
)


def on_disk(folder: pathlib.Path) -> list[int]:
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())


def test_a_loss_is_to_fall_and_a_reward_to_rise():
    assert find_best({1: {LOSS: 2.0}, 2: {LOSS: 1.0}, 3: {LOSS: 3.0}}) == (2, 1.0)
    assert find_best({1: {REWARD: 2.0}, 2: {REWARD: 1.0}}) == (1, 2.0)
    assert find_best({1: {LOSS: 1.0}, 2: {LOSS: 1.0}}) == (
        2,
        1.0,
    )  # of equals the newest
    assert find_best({1: {}, 2: {}}) is None


def test_only_the_metric_of_the_setting_ranks_after_it_was_changed():
    found = {1: {LOSS: 0.1}, 2: {REWARD: 0.3}, 3: {}}
    assert find_best(found) == (2, 0.3)
    assert find_best(found, LOSS) == (1, 0.1)


def test_a_step_that_is_only_as_good_is_not_better():
    best = BestSoFar(LOSS)
    said = [best.is_beaten_by({LOSS: v}) for v in (3.0, 3.0, 2.5, 2.6)]
    assert said == [True, False, True, False]
    assert not best.is_beaten_by({})
    assert best.saved_with({LOSS: 2.6, REWARD: 1.0}) == {LOSS: 2.6}
    assert best.saved_with({REWARD: 1.0}) is None


def test_the_best_step_outlives_the_window_and_a_restart(tmp_path):
    values = {1: 3.0, 2: 1.0, 3: 2.0, 4: None, 5: 2.5, 6: 1.5}
    for step, value in values.items():  # each in a process that was started anew
        checkpoints = Checkpoints(
            tmp_path, keep_last=2, best_metric=LOSS, is_writer=True
        )
        metrics = None if value is None else {LOSS: value}
        checkpoints.begin_save(step, {"extra": {"step": step}}, metrics=metrics)
        checkpoints.close()
    assert on_disk(tmp_path) == [2, 5, 6]
    opened = Checkpoints(tmp_path, best_metric=LOSS)
    assert opened.best() == (2, 1.0)
    assert opened.best(up_to=1) is None
    assert opened.load(2, {"extra": None}) == {"extra": {"step": 2}}


@pytest.mark.parametrize(
    ("when", "best", "there"),
    [("incomplete", (1, 0.9), {1, 2}), ("complete", (3, 0.95), {1, 2, 3})],
)
def test_a_kill_between_a_new_best_and_the_old_one_loses_neither(
    tmp_path, when, best, there
):
    words = [sys.executable, "-m", "tests.train.one_save", str(tmp_path), when]
    died = subprocess.run(words, capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    checkpoints = Checkpoints(tmp_path, keep_last=1, best_metric=REWARD, is_writer=True)
    assert set(on_disk(tmp_path)) == there
    assert checkpoints.best() == best
    found = checkpoints.load(best[0], {"extra": None})
    assert found == {"extra": {"step": best[0]}}
    # Whoever goes on deletes what the dead one had no time for, and keeps the best.
    checkpoints.save(4, {"extra": {"step": 4}}, metrics={REWARD: 0.1})
    assert on_disk(tmp_path) == [best[0], 4]


def test_the_params_of_the_best_step_load_by_name(tmp_path):
    params = [init_params(MODEL, jax.random.key(seed)) for seed in range(3)]
    checkpoints = Checkpoints(tmp_path, best_metric=LOSS)
    for step, loss in enumerate((2.0, 1.0, 3.0)):
        item = {"state.params": params[step]}
        checkpoints.save(step, item, metrics={LOSS: loss})
    for choice, step in (("best", 1), (None, 2)):
        found = load_params(tmp_path, MODEL, mesh=make_mesh(), step=choice)
        jax.tree.map(np.testing.assert_array_equal, found, params[step])


def test_without_a_ranked_step_none_is_the_best(tmp_path):
    Checkpoints(tmp_path).save(1, {"extra": {}})
    with pytest.raises(UserError, match="was ranked by a.*lost too many rollouts"):
        load_params(tmp_path, MODEL, mesh=make_mesh(), step="best")


def test_a_checkpoint_is_named_by_stage_and_choice():
    assert split_choice("nlex/train_sft@best") == ("nlex/train_sft", "best")
    assert split_choice("train_rl") == ("train_rl", None)
    with pytest.raises(UserError, match=r"STAGE@best; got 'train_rl@first'"):
        split_choice("train_rl@first")


def test_a_metric_that_nothing_measures_is_refused():
    refuse_unknown_metric("", [], where="keep_best")
    with pytest.raises(UserError, match="one of validation/loss; it is 'loss'"):
        refuse_unknown_metric("loss", [LOSS], where="keep_best")
