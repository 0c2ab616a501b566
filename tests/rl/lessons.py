"""Two things that a tiny policy can learn from rewards alone: copying, and sums.

The policy is taught right answers first and then mostly wrong ones, so that it is right
now and then; rewards must do the rest.
"""

import dataclasses
import itertools

import jax
import numpy as np

from simex.sft.loss import cross_entropy
from simex.sharding.mesh import put_batch
from simex.tokens.chat import render
from simex.tokens.packing import pack
from simex.train.logprobs import token_logprobs
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import make_train_state, state_shardings
from simex.train.step import make_train_step
from tests.rl.toy import MAX_TOTAL, ToyObjective

WORDS = ["".join(pair) for pair in itertools.product("abcd", repeat=2)]
SUMS = {f"print({a}+{b})": str(a + b) for a in range(4) for b in range(4)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy(ToyObjective):
    """Say the word again."""

    name: str = "copy"

    def load_items(self, workdir):
        return WORDS

    def reward(self, item, text):
        return float(text == item)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums(ToyObjective):
    """Say what a program of one line prints."""

    name: str = "sums"

    def load_items(self, workdir):
        return list(SUMS)

    def reward(self, item, text):
        return float(text == SUMS[item])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shuffled(ToyObjective):
    """The rewards of another objective, handed out at random."""

    teacher: ToyObjective
    name: str = "shuffled"

    def load_items(self, workdir):
        return self.teacher.load_items(workdir)

    def reward(self, item, text):
        return self.teacher.reward(item, text)

    def judge(self, texts, *, pool, seed_path):
        rewards = super().judge(texts, pool=pool, seed_path=seed_path)
        order = np.random.default_rng(seed_path).permutation(len(rewards))
        return [rewards[i] for i in order]


RIGHT_STEPS, MIXED_STEPS = 80, 60  # of 32 examples each
SHARE_RIGHT = 0.3  # in the mixed ones


def teach(toy, answers, *, seed):
    """Params of a policy that half remembers `answers`, the right one of each prompt."""
    prompts = list(answers)
    rng = np.random.default_rng(seed)
    tx = make_optimizer(OptimizerConfig(name="adamw", learning_rate=0.003), toy.mesh)
    state = make_train_state(
        toy.model, tx, toy.mesh, key=jax.random.key(seed), params=toy.params
    )

    def loss_fn(params, batch):
        logprobs_BT, _ = token_logprobs(toy.model, params, batch)
        return *cross_entropy(logprobs_BT, batch["loss_mask"]), {}

    shardings = state_shardings(toy.model, tx, toy.mesh)
    step = make_train_step(loss_fn, tx, toy.mesh, shardings=shardings)
    for done in range(RIGHT_STEPS + MIXED_STEPS):
        share_right = 1.0 if done < RIGHT_STEPS else SHARE_RIGHT
        chosen = rng.choice(prompts, 32)
        wrong = rng.choice(list(answers.values()), 32)
        rendered = [
            render(toy.tokenizer, str(p), answers[p] if r < share_right else str(w))
            for p, w, r in zip(chosen, wrong, rng.random(32), strict=True)
        ]
        arrays = pack(rendered, MAX_TOTAL, num_rows=32).arrays
        state, _ = step(state, put_batch(arrays, toy.mesh))
    return state.params
