"""What the results file says of the checkpoint that answered."""

import jax.numpy as jnp
import pytest

from simex.core.errors import UserError
from simex.core.files import write_jsonl
from simex.evals.scoring.asking import find_asking
from simex.evals.scoring.results_file import hash_file
from simex.evals.scoring.rules import BenchmarkItem
from simex.jobs.evaluate_benchmark import (
    _count_ends,
    _read_answers,
    describe_checkpoint,
)
from simex.sampling.samples import Stop
from simex.tasks import solve
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


def test_an_answer_that_was_cut_off_is_read_as_such_and_counted(tmp_path):
    whole = solve.render_target("", "print(1)")
    ends = (Stop.STOP_ID.value, Stop.LENGTH.value, "no_room")
    write_jsonl(
        tmp_path / "answers.jsonl",
        [{"id": "a", "text": whole, "num_tokens": 9, "end": end} for end in ends],
    )
    item = BenchmarkItem(id="a", record={}, official=None, strict=None)
    asking = find_asking("codecontests", "task")
    found = _read_answers(tmp_path / "answers.jsonl", [item], asking)
    assert [c.text for c in found["a"]] == ["print(1)\n", "", ""]
    counts = _count_ends(tmp_path / "answers.jsonl")
    assert counts == {"cut_off": 1, "prompts_without_room": 1}
