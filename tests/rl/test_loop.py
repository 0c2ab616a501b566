"""The RL loop with a toy objective: it learns, repeats itself and resumes exactly.

The objective asks for a digit. It runs no program, but the loop has its sandbox.
"""

import dataclasses
import json

import jax
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.rl.loop import RlConfig, pick_items, run_rl
from simex.rollouts.policy import Policy, Query
from simex.rollouts.rollout import Group, Rollout
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sandbox.pool import SandboxPool
from simex.sharding.mesh import make_mesh
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.checkpoint import load_params
from simex.train.optimizer import OptimizerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SayDigit:
    """Rewards completions that begin with a digit."""

    weight: float = 1.0
    group_size: int = 8
    name: str = "say_digit"
    is_shuffled: bool = False

    def load_items(self, workdir):
        return ["a", "b", "c"]

    def collect(self, policy, items, *, pool, seed_path):
        queries = [
            Query(task="solve", prompt=item, seed_path=(*seed_path, i, s))
            for i, item in enumerate(items)
            for s in range(self.group_size)
        ]
        turns = policy.complete(queries)
        rewards = [float(turn.text[:1].isdigit()) for turn in turns]
        if self.is_shuffled:
            order = np.random.default_rng(seed_path).permutation(len(rewards))
            rewards = [rewards[i] for i in order]
        rollouts = iter(
            Rollout(
                turns=(turn,),
                reward=reward,
                parts={"passed": reward, "refused": 0.0},
            )
            for turn, reward in zip(turns, rewards, strict=True)
        )
        return [
            Group(
                objective=self.name,
                item_id=item,
                rollouts=tuple(next(rollouts) for _ in range(self.group_size)),
            )
            for item in items
        ]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    out = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    return train_sentencepiece(["a b c"] * 9, out, vocab_size=380, symbols=[])


@pytest.fixture(scope="module")
def model(tokenizer):
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=32,
        num_layers=1,
        num_query_heads=2,
        num_kv_heads=1,
        head_dim=16,
        d_ff=64,
        max_positions=48,
    )


@pytest.fixture(scope="module", autouse=True)
def pool():
    with SandboxPool(1) as opened:
        SayDigit.pool = opened
        yield


def train(folder, tokenizer, model, *, num_steps, objective=SayDigit(), gap=1e-3):
    mesh = make_mesh()
    sampler = Sampler(
        model,
        mesh,
        num_slots=16,
        max_prompt_len=16,
        max_total_len=32,
        stop_ids=(tokenizer.end_id,),
        chunk_steps=2,
    )
    config = RlConfig(
        num_steps=num_steps,
        rollouts_per_step=64,
        advantage="group_mean",
        rows=8,
        steps_between_saves=2,
    )
    loss = dataclasses.replace(config.loss, gap_tolerance=gap, normaliser_tokens=3.0)
    run_rl(
        folder,
        [(objective, objective.load_items(folder))],
        make_policy=lambda params: Policy(
            sampler=sampler,
            params=params,
            tokenizer=tokenizer,
            method=SamplingMethod(temperature=1.0),
            max_new_tokens=3,
        ),
        pool=SayDigit.pool,
        config=dataclasses.replace(config, loss=loss),
        model=model,
        optimizer=OptimizerConfig(name="adamw", learning_rate=0.02),
        mesh=mesh,
        params=init_params(model, jax.random.key(0)),
        seed=0,
    )


def read_metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_it_learns_and_with_shuffled_rewards_it_does_not(tmp_path, tokenizer, model):
    train(tmp_path / "true", tokenizer, model, num_steps=12)
    rewards = [r["say_digit/reward"] for r in read_metrics(tmp_path / "true")]
    assert rewards[0] < 0.15 and rewards[-1] > 0.35
    objective = SayDigit(is_shuffled=True)
    train(tmp_path / "no", tokenizer, model, num_steps=12, objective=objective)
    assert read_metrics(tmp_path / "no")[-1]["say_digit/reward"] < 0.2


def test_a_stopped_run_continues_to_the_same_weights_and_samples(
    tmp_path, tokenizer, model
):
    train(tmp_path / "whole", tokenizer, model, num_steps=4)
    train(tmp_path / "stopped", tokenizer, model, num_steps=3)
    train(tmp_path / "stopped", tokenizer, model, num_steps=4)
    whole, stopped = (
        load_params(tmp_path / name / "checkpoints", model, mesh=make_mesh())
        for name in ("whole", "stopped")
    )
    jax.tree.map(np.testing.assert_array_equal, whole, stopped)
    samples = [
        (tmp_path / name / "rollouts" / "step_00003.jsonl").read_text()
        for name in ("whole", "stopped")
    ]
    assert samples[0] == samples[1]


def test_a_sampler_that_disagrees_with_the_trainer_stops_the_run(
    tmp_path, tokenizer, model
):
    with pytest.raises(UserError, match="must agree"):
        train(tmp_path, tokenizer, model, num_steps=1, gap=1e-12)


def test_items_come_in_shuffled_epochs_without_gaps():
    picked = [i for step in range(6) for i in pick_items("abc", 2, seed=0, step=step)]
    assert all(sorted(picked[i : i + 3]) == ["a", "b", "c"] for i in range(0, 12, 3))
    assert picked != pick_items("abc", 12, seed=1, step=0)
