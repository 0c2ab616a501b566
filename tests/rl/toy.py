"""A model of a few thousand params, and a run of the loop around it."""

import dataclasses
import functools
import json
from unittest import mock

import jax

from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.rl import loop
from simex.rl.loop import RlConfig, run_rl
from simex.rl.presets import make_algorithm
from simex.rl.trainer import make_trainer
from simex.rollouts.policy import Policy, Query
from simex.rollouts.rollout import Group, Rollout
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sharding.mesh import make_mesh
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.optimizer import OptimizerConfig
from simex.train.saved_params import load_params

MAX_PROMPT, MAX_TOTAL = 24, 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy:
    """Everything of a run but its objective and its settings."""

    tokenizer: object
    model: ModelConfig
    params: object
    sampler: Sampler
    mesh: object
    trainers: dict = dataclasses.field(default_factory=dict)
    """Those of earlier runs, by what was asked for: they are compiled."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyObjective:
    """Asks about each item `group_size` times; `_reward` is the subclass's."""

    weight: float = 1.0
    group_size: int = 8
    name: str = "toy"

    def load_items(self, workdir):
        return ["a", "b", "c"]

    def prompt(self, item):
        return item

    def reward(self, item, text):
        """Begins with a digit."""
        return float(text[:1].isdigit())

    def collect(self, policy, items, *, pool, seed_path):
        asked = [(i, s) for i in range(len(items)) for s in range(self.group_size)]
        queries = [
            Query(
                task="solve", prompt=self.prompt(items[i]), seed_path=(*seed_path, i, s)
            )
            for i, s in asked
        ]
        turns = policy.complete(queries)
        texts = [
            (items[i], turn.text) for (i, _), turn in zip(asked, turns, strict=True)
        ]
        rewards = self.judge(texts, pool=pool, seed_path=seed_path)
        rollouts = iter(
            Rollout(
                turns=(turn,),
                reward=reward,
                parts={"passed": self.reward(item, text), "refused": 0.0},
            )
            for turn, reward, (item, text) in zip(turns, rewards, texts, strict=True)
        )
        return [
            Group(
                objective=self.name,
                item_id=str(item),
                rollouts=tuple(next(rollouts) for _ in range(self.group_size)),
            )
            for item in items
        ]

    def judge(self, texts, *, pool, seed_path):
        return [self.reward(item, text) for item, text in texts]


def make_toy(folder, *, corpus=("a b c",), d_model=32, num_layers=1, num_devices=1):
    out = folder / "tokenizer.model"
    tokenizer = train_sentencepiece(list(corpus) * 9, out, vocab_size=380, symbols=[])
    model = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=d_model,
        num_layers=num_layers,
        num_query_heads=2,
        num_kv_heads=1,
        head_dim=16,
        d_ff=2 * d_model,
        max_positions=48,
    )
    mesh = make_mesh(devices=jax.devices()[:num_devices])
    return Toy(
        tokenizer=tokenizer,
        model=model,
        params=jax.jit(lambda: init_params(model, jax.random.key(0)))(),
        mesh=mesh,
        sampler=Sampler(
            model,
            mesh,
            num_slots=32,
            max_prompt_len=MAX_PROMPT,
            max_total_len=MAX_TOTAL,
            stop_ids=(tokenizer.end_id,),
            chunk_steps=2,
        ),
    )


def train(
    folder,
    toy,
    *,
    num_steps,
    objective=None,
    pool=None,
    algorithm="dr_grpo",
    changes=None,
    learning_rate=0.02,
    max_new_tokens=3,
    seed=0,
    rollouts_per_step=64,
    params=None,
    held_out=None,
    **settings,
):
    """One run of the loop."""
    objective = ToyObjective() if objective is None else objective
    config = {"rows": 16, "steps_between_saves": 2} | settings
    changes = {"normaliser_tokens": 3.0, "gibberish": "keep"} | (changes or {})
    optimizer = OptimizerConfig(name="adamw", learning_rate=learning_rate)
    make_once = functools.partial(_make_trainer_once, toy, optimizer)
    with mock.patch.object(loop, "make_trainer", make_once):
        run_rl(
            folder,
            [(objective, objective.load_items(folder))],
            make_policy=functools.partial(_make_policy, toy, max_new_tokens),
            pool=pool or IdlePool(),
            config=RlConfig(
                num_steps=num_steps,
                rollouts_per_step=rollouts_per_step,
                algorithm=make_algorithm(algorithm, changes),
                **config,
            ),
            model=toy.model,
            optimizer=optimizer,
            mesh=toy.mesh,
            params=toy.params if params is None else params,
            seed=seed,
            held_out=held_out,
        )


def _make_trainer_once(
    toy, optimizer, model, algorithm, tx, mesh, *, reference_params, **settings
):
    """Compiling costs a run more than all else: runs alike share what is compiled."""
    key = (optimizer, algorithm, id(reference_params), *settings.items())
    if key not in toy.trainers:
        trainer = make_trainer(
            model, algorithm, tx, mesh, reference_params=reference_params, **settings
        )
        toy.trainers[key] = trainer, reference_params  # which must keep its id
    return toy.trainers[key][0]


def _make_policy(toy, max_new_tokens, params):
    return Policy(
        sampler=toy.sampler,
        params=params,
        tokenizer=toy.tokenizer,
        method=SamplingMethod(temperature=1.0),
        max_new_tokens=max_new_tokens,
    )


class IdlePool:
    """A sandbox of which nothing is asked but its figures."""

    def take_metrics(self):
        return {"queue_secs": (0.5, 2.0), "verdict/accepted": (3.0, 4.0)}


def read_metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def read_samples(folder):
    return [path.read_text() for path in sorted((folder / "rollouts").iterdir())]


def load_weights(folder, toy):
    return load_params(folder / "checkpoints", toy.model, mesh=toy.mesh)
