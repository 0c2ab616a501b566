"""Supervised examples beside rollouts in one update."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from simex.core.errors import UserError
from simex.data.mixture import Mixture
from simex.data.records import Example
from simex.data.tokenized import tokenize_split
from simex.rl.batch import make_micro_batches
from simex.rl.presets import PRESETS
from simex.rl.replay import Replay, make_replay_loss
from simex.rl.selection import select
from simex.sharding.mesh import put_batch
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.state import make_train_state, state_shardings
from simex.train.step import make_train_step
from tests.rl.test_invariance import MODEL, make_groups, start_params, trainer_of

ROWS, T = 8, 24


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "t.model"
    tokenizer = train_sentencepiece(["a b c"] * 9, path, vocab_size=380, symbols=[])
    examples = [
        Example(
            id=f"{task}/{i}", task=task, prompt="a", target="b" * (1 + i % 7),
            group="g", source="s",
        )
        for task in ("solve", "explain")
        for i in range(20)
    ]  # fmt: skip
    return tokenize_split(examples, tokenizer, seq_len=T)


def make_replay(split, **settings):
    return Replay(split=split, rows=ROWS, **{"weight": 0.5, "seed": 3} | settings)


def test_the_batch_of_a_step_depends_on_seed_and_step_alone(split):
    replay = make_replay(split)
    first, again = replay.make_batch(7), make_replay(split).make_batch(7)
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["tokens"] != replay.make_batch(8)["tokens"]).any()
    assert first["tokens"].shape == (ROWS, T)
    # Nothing is cut, and little is left empty: examples have 6 to 12 tokens here.
    assert (first["segment_ids"] > 0).mean() > 0.8


def test_the_mixture_chooses_the_tasks(split):
    only = make_replay(split, mixture=Mixture(weights={"solve": 1.0}))
    assert set(only._shares()) == {"solve"}
    assert make_replay(split)._shares() == {"explain": 0.5, "solve": 0.5}
    with pytest.raises(UserError, match="Known tasks: explain, solve"):
        make_replay(split, mixture=Mixture(weights={"sing": 1.0}))
    with pytest.raises(UserError, match="above 0"):
        make_replay(split, weight=0.0)


def test_examples_that_are_all_too_long_are_refused_before_anything_is_sampled(split):
    empty = {
        name: dataclasses.replace(task, ends=task.ends[:0])
        for name, task in split.tasks.items()
    }
    short = dataclasses.replace(split, tasks=empty)
    with pytest.raises(UserError, match="one of at most 24 tokens; they hold none"):
        make_replay(short)


def small(batch):
    """Ids that the model of the test knows."""
    return {**batch, "tokens": batch["tokens"] % MODEL.vocab_size}


def params_after(replayed, weight):
    trainer, tx = trainer_of("dr_grpo", 8, 1, T)
    state = make_train_state(
        MODEL, tx, trainer.mesh, key=jax.random.key(0), params=start_params()
    )
    selection = select(make_groups(), algorithm=PRESETS["dr_grpo"])
    batches = make_micro_batches(selection.chosen, rows=8, seq_len=T)
    state, values = trainer.update(
        state,
        batches,
        denominator=selection.denominator,
        replayed=replayed,
        replay_weight=weight,
    )
    return jax.tree.map(np.asarray, state.params), values


def test_an_update_adds_the_weighted_mean_gradient_of_the_supervised_loss(split):
    batch = small(make_replay(split).make_batch(0))
    without, _ = params_after(batch, 0.0)  # one compiled update for both
    with_replay, values = params_after(batch, 0.5)
    # The same examples alone, by the step of SFT, at a learning rate of a half.
    trainer, _ = trainer_of("dr_grpo", 8, 1)
    mesh, half = trainer.mesh, optax.sgd(0.5)
    weights = {**batch, "weights": np.ones_like(batch["loss_mask"])}
    step = make_train_step(
        make_replay_loss(MODEL),
        half,
        mesh,
        shardings=state_shardings(MODEL, half, mesh),
    )
    state = make_train_state(
        MODEL, half, mesh, key=jax.random.key(0), params=start_params()
    )
    before = jax.tree.map(np.asarray, state.params)
    state, metrics = step(state, put_batch(weights, mesh))
    for a, b, c, d in zip(
        *map(jax.tree.leaves, (with_replay, without, state.params, before)), strict=True
    ):
        assert (b != d).any()  # the rollouts move all params, too
        np.testing.assert_allclose(a - b, np.asarray(c) - d, rtol=1e-3, atol=1e-6)
    total, weight = metrics["loss"]
    np.testing.assert_allclose(values["replay/loss"], total / weight, rtol=1e-5)
