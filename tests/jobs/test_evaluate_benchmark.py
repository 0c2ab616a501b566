"""What the results file says of the checkpoint that answered."""

import jax.numpy as jnp
import pytest

from simex.core.errors import UserError
from simex.evals.scoring.results_file import hash_file
from simex.jobs.evaluate_benchmark import describe_checkpoint
from simex.train.checkpoint import Checkpoints

REWARD = "validation/reward"  # more is better


def save_steps(folder, rewards):
    checkpoints = Checkpoints(folder / "checkpoints", best_metric=REWARD)
    for step, reward in enumerate(rewards):
        metrics = None if reward is None else {REWARD: reward}
        params = {"w": jnp.full(2, float(step))}
        checkpoints.save(step, {"state.params": params}, metrics=metrics)
    checkpoints.close()


def test_the_best_checkpoint_is_described_as_the_one_that_answered(tmp_path):
    save_steps(tmp_path / "rl", [0.1, 0.9, 0.3])
    newest = describe_checkpoint(tmp_path, "rl")
    best = describe_checkpoint(tmp_path, "rl@best")
    assert (newest["name"], newest["step"]) == ("rl", 2)
    assert (best["name"], best["step"]) == ("rl@best", 1)
    folder = tmp_path / "rl" / "checkpoints"
    for found in (newest, best):
        hashed = hash_file(folder / str(found["step"]))
        assert found["checkpoint_sha256"] == hashed
    assert newest["checkpoint_sha256"] != best["checkpoint_sha256"]


def test_without_a_ranked_checkpoint_none_is_the_best(tmp_path):
    save_steps(tmp_path / "sft", [None])
    assert describe_checkpoint(tmp_path, "sft")["step"] == 0
    with pytest.raises(UserError, match="'sft@best'; it does not"):
        describe_checkpoint(tmp_path, "sft@best")
