"""The RL loop with a toy objective: it learns, repeats itself and resumes exactly.

The objective asks for a digit and runs no program.
"""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.data.records import Example
from simex.data.tokenized import tokenize_split
from simex.rl import first_update, loop
from simex.rl.curriculum import Curriculum
from simex.rl.loop import RlConfig
from simex.rl.metric_table import METRICS, UNREPEATABLE, unknown_metrics
from simex.rl.replay import Replay
from simex.rl.stream import Staleness
from tests.rl.lessons import Shuffled
from tests.rl.toy import (
    ToyObjective,
    load_weights,
    make_toy,
    read_metrics,
    read_samples,
    train,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotedCurriculum(Curriculum):
    """Tells what it knew of the items, each time that it chose."""

    known: list = dataclasses.field(default_factory=list)

    def choose(self, rates, *args, **settings):
        self.known.append(dict(rates))
        return super().choose(rates, *args, **settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotedReplay(Replay):
    """Tells the train steps that it was asked for."""

    steps: list = dataclasses.field(default_factory=list)

    def make_batch(self, step):
        self.steps.append(step)
        return super().make_batch(step)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """A run of 12 steps that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder, toy, num_steps=12)
    return folder


def repeatable(folder):
    return [
        {k: v for k, v in record.items() if not k.startswith(UNREPEATABLE)}
        for record in read_metrics(folder)
    ]


def assert_same_run(one, other, toy):
    jax.tree.map(
        np.testing.assert_array_equal, load_weights(one, toy), load_weights(other, toy)
    )
    assert read_samples(one) == read_samples(other)
    assert repeatable(one) == repeatable(other)


def test_it_learns_and_with_shuffled_rewards_it_does_not(whole, tmp_path, toy):
    rewards = [r["toy/reward"] for r in read_metrics(whole)]
    assert rewards[0] < 0.15 and rewards[-1] > 0.35
    shuffled = Shuffled(teacher=ToyObjective(), name="toy")
    train(tmp_path, toy, num_steps=12, objective=shuffled)
    assert read_metrics(tmp_path)[-1]["toy/reward"] < 0.2


def test_a_run_that_was_stopped_equals_one_that_was_not(whole, tmp_path, toy):
    """Weights, samples and metrics, bit for bit: it is repeatable, too."""
    for num_steps in (5, 12):
        train(tmp_path, toy, num_steps=num_steps)
    assert_same_run(whole, tmp_path, toy)


def test_so_does_one_with_replay_a_curriculum_and_a_reference(
    tmp_path, toy, monkeypatch
):
    examples = [
        Example(id=i, task="solve", prompt=i, target=i, group="g", source="s")
        for i in "abc"
    ]
    split = tokenize_split(examples, toy.tokenizer, seq_len=toy.model.max_positions)
    replay = NotedReplay(split=split, rows=16, weight=0.5, seed=0)
    curriculum, checked = NotedCurriculum(), []

    def check_first_step(*args, step):
        checked.append(step)
        return first_update.check_first_step(*args, step=step)

    monkeypatch.setattr(loop, "check_first_step", check_first_step)
    settings = {
        "num_steps": 3,
        "changes": {"kl": "k3", "kl_weight": 0.1},
        "curriculum": curriculum,
        "replay": replay,
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(whole, toy, **settings)
    # In its third train step: what it saved after the second is the newest.
    shutil.copytree(whole, killed)
    shutil.rmtree(killed / "checkpoints" / "3")
    train(killed, toy, **settings)
    assert_same_run(whole, killed, toy)
    assert replay.steps == [0, 1, 2, 2]
    assert [len(rates) for rates in curriculum.known] == [0, 3, 3, 3]
    assert curriculum.known[2] == curriculum.known[3] != curriculum.known[1]
    # In each process, with the params that sampled what they are measured on.
    assert checked == [0, 2]
    records = read_metrics(whole)
    assert [r["policy/reference_kl"] > 1e-6 for r in records] == [False, True, True]


@pytest.mark.long
def test_a_run_one_batch_ahead_continues_with_the_batch_that_waited(tmp_path, toy):
    """Stopped after 5 train steps: the batch of the next one is in the checkpoint."""
    settings = {"staleness": Staleness(max_steps=1), "rollouts_per_step": 16}
    train(tmp_path / "whole", toy, num_steps=7, **settings)
    for num_steps in (5, 7):
        train(tmp_path / "stopped", toy, num_steps=num_steps, **settings)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped", toy)
    records = read_metrics(tmp_path / "stopped")
    assert [r["staleness/steps"] for r in records] == [0, *[1] * 6]


@pytest.mark.long
def test_two_runs_of_20_steps_with_one_seed_are_equal_and_with_another_not(
    tmp_path, toy
):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        train(tmp_path / name, toy, num_steps=20, seed=seed)
    assert_same_run(tmp_path / "one", tmp_path / "same", toy)
    assert read_samples(tmp_path / "one") != read_samples(tmp_path / "other")


def test_every_metric_stands_in_the_table(whole):
    records = read_metrics(whole)
    assert unknown_metrics(name for record in records for name in record) == []
    written = set(records[0])
    always = {name for name in METRICS if "{" not in name}
    # The algorithm has no reference, and nothing is replayed.
    assert always - written == {"policy/reference_kl", "replay/loss"}
    assert records[0]["sandbox/queue_secs"] == 0.25  # 0.5 s over 2 runs
    assert records[3]["toy/data_position"] == 4 * 8
    assert "first_update/ratio" not in records[1]


def test_recorded_turns_hold_advantages_and_what_the_trainer_says_of_them(whole):
    groups = list(read_jsonl(whole / "rollouts" / "step_00000.jsonl"))
    assert len(groups) == 8
    for number, group in enumerate(groups):
        turns = [t for r in group["rollouts"] for t in r["turns"]]
        assert all("".join(t["tokens"]) == t["text"] for t in turns)
        rewards = {r["reward"] for r in group["rollouts"]}
        assert any(t["advantage"] for t in turns) == (len(rewards) > 1)
        for turn in turns:
            # The first two groups are scored, by the params that sampled them.
            assert ("trainer_logprobs" in turn) == (number < 2)
            said = turn.get("trainer_logprobs", turn["logprobs"])
            np.testing.assert_allclose(said, turn["logprobs"], atol=1e-4)


def test_compiles_happen_at_first_and_then_no_more(whole):
    compiles = [record["compile/count"] for record in read_metrics(whole)]
    assert sum(compiles[4:]) == 0


def test_a_sampler_that_disagrees_with_the_trainer_stops_the_run(tmp_path, toy):
    with pytest.raises(UserError, match="must agree"):
        train(tmp_path, toy, num_steps=1, changes={"gap_tolerance": 1e-12})


def test_rollouts_of_older_params_train_with_their_own_logprobs(tmp_path, toy):
    train(tmp_path, toy, num_steps=8, staleness=Staleness(max_steps=2))
    records = read_metrics(tmp_path)
    assert max(r["staleness/steps"] for r in records) <= 2
    stale = [r for r in records if r["staleness/steps"] and "policy/approx_kl" in r]
    # Were the ratio taken from the trainer's own logprobs, it would be 1 here.
    assert stale and max(r["policy/approx_kl"] for r in stale) > 1e-4
    assert [r["toy/data_position"] for r in records] == [8 * n for n in range(1, 9)]


@pytest.mark.parametrize("algorithm", ["grpo_verl", "dapo", "gspo", "cispo"])
@pytest.mark.long
def test_other_algorithms_run_through_the_loop(tmp_path, toy, algorithm):
    changes = {"overlong_max_tokens": 3, "overlong_buffer_tokens": 1}
    train(tmp_path, toy, num_steps=2, algorithm=algorithm, changes=changes)
    records = read_metrics(tmp_path)
    assert unknown_metrics(name for r in records for name in r) == []
    assert np.isfinite([r["loss"] for r in records if "loss" in r]).all()
    if algorithm == "grpo_verl":
        assert abs(records[0]["policy/reference_kl"]) < 1e-6
        assert records[1]["policy/reference_kl"] > 1e-5
    if algorithm == "dapo":
        assert sum(r["batch/refill_rounds"] for r in records) > 0


@pytest.mark.parametrize(
    "settings", [{"rows": 0}, {"steps_between_saves": 0}, {"stall_secs": 0.0}]
)
def test_a_number_that_cannot_be_is_refused_before_anything_is_sampled(settings):
    (name,) = settings
    with pytest.raises(UserError, match=rf"train_rl\.{name} must be above 0; it is 0"):
        RlConfig(num_steps=1, rollouts_per_step=8, **settings)


@pytest.mark.slow
def test_several_devices_take_turns_without_a_deadlock(tmp_path):
    toy = make_toy(tmp_path, num_devices=8)
    train(tmp_path / "run", toy, num_steps=4, staleness=Staleness(max_steps=1))
    assert len(read_metrics(tmp_path / "run")) == 4
