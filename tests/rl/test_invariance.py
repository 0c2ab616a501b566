"""The same rollouts give the same update however the work is laid out."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest

from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.rl.batch import make_micro_batches
from simex.rl.presets import PRESETS
from simex.rl.selection import select
from simex.rl.trainer import make_trainer
from simex.sharding.mesh import make_mesh, replicated
from simex.train.state import make_train_state
from tests.rl.rollout_examples import group, rollout, turn

MODEL = ModelConfig(
    vocab_size=64,
    d_model=16,
    num_layers=1,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=8,
    d_ff=32,
    max_positions=64,
)


@functools.cache
def start_params():
    return jax.jit(lambda: init_params(MODEL, jax.random.key(0)))()


def make_groups():
    rng = np.random.default_rng(0)

    def one(reward):
        ids = rng.integers(5, 60, 14)
        lengths = rng.integers(2, 8, 2)
        return rollout(
            reward,
            turn(ids[:3], ids[3 : 3 + lengths[0]], logprob=-4.2),
            turn(ids[:2], ids[2 : 2 + lengths[1]], logprob=-4.0),
        )

    return [group(*(one(r) for r in (1.0, -1.0, 1.0, -1.0))) for _ in range(4)]


@functools.cache
def trainer_of(preset, rows, devices, *shapes):
    """One for each preset, layout and whatever else a program would compile for."""
    # Plain descent: Adam would hide a wrong scale of the gradient.
    mesh, tx = make_mesh(devices=jax.devices()[:devices]), optax.sgd(1.0)
    reference = jax.tree.map(lambda x: x * 1.1, start_params())
    trainer = make_trainer(
        MODEL,
        PRESETS[preset],
        tx,
        mesh,
        rows=rows,
        temperature=0.8,
        reference_params=jax.device_put(reference, replicated(mesh)),
    )
    return trainer, tx


def update_of(groups, *, preset, rows=8, seq_len=16, devices=1, share_prompts=False):
    """Number of micro-batches, params after one update, and its metrics."""
    trainer, tx = trainer_of(preset, rows, devices, seq_len, share_prompts)
    state = make_train_state(
        MODEL, tx, trainer.mesh, key=jax.random.key(0), params=start_params()
    )
    selection = select(
        groups, algorithm=PRESETS[preset], is_rare_V=np.zeros(MODEL.vocab_size, bool)
    )
    batches = make_micro_batches(
        selection.chosen, rows=rows, seq_len=seq_len, share_prompts=share_prompts
    )
    state, values = trainer.update(state, batches, denominator=selection.denominator)
    return len(batches), [np.asarray(x) for x in jax.tree.leaves(state.params)], values


def assert_same(one, other):
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
    assert one[2].keys() == other[2].keys()
    for name, value in one[2].items():
        np.testing.assert_allclose(value, other[2][name], rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def whole():
    """One micro-batch on one device, for two algorithms that differ in all they can."""
    return {
        p: update_of(make_groups(), preset=p, rows=32) for p in ("gspo", "grpo_verl")
    }


@pytest.mark.parametrize(
    ("preset", "layout"),
    [
        ("gspo", {"rows": 8}),  # micro-batches
        ("grpo_verl", {"rows": 8}),
        ("gspo", {"rows": 32, "seq_len": 64}),  # several turns to a row
        ("grpo_verl", {"rows": 32, "devices": 8}),
    ],
)
def test_the_layout_changes_nothing(whole, preset, layout):
    found = update_of(make_groups(), preset=preset, **layout)
    assert whole[preset][0] == 1 and found[0] == (2 if layout["rows"] == 8 else 1)
    assert_same(whole[preset], found)


def test_the_order_of_groups_and_of_rollouts_changes_nothing(whole):
    backwards = [group(*reversed(g.rollouts)) for g in reversed(make_groups())]
    assert_same(whole["gspo"], update_of(backwards, preset="gspo", rows=32))


def test_without_anything_to_learn_from_nothing_changes():
    flat = [group(*(r for r in g.rollouts if r.reward == 1.0)) for g in make_groups()]
    num_batches, _, values = update_of(flat, preset="gspo")
    assert num_batches == 0 and values == {}


@pytest.mark.parametrize(
    ("changes", "is_asked", "is_shared"),
    [({}, True, True), ({}, False, False), ({"windows": (4,)}, True, False)],
)
def test_prompts_are_shared_where_that_is_wanted_and_the_model_can(
    changes, is_asked, is_shared
):
    trainer = make_trainer(
        dataclasses.replace(MODEL, **changes),
        PRESETS["dr_grpo"],
        optax.sgd(1.0),
        make_mesh(devices=jax.devices()[:1]),
        rows=1,
        temperature=1.0,
        reference_params=None,
        share_prompts=is_asked,
    )
    assert trainer.shares_prompts == is_shared


@pytest.mark.parametrize("preset", ["gspo", "grpo_verl"])
@pytest.mark.parametrize("devices", [1, 8])
def test_a_prompt_computed_once_for_its_group_changes_nothing(preset, devices):
    """Four answers to one prompt of 12 ids, 2 to 7 ids each, in rows of 64.

    Apart they are four turns of up to 19 ids; together 11 + 4 x (1 + up to 7) ids.
    """
    rng = np.random.default_rng(1)

    def make_group():
        prompt = rng.integers(5, 60, 12)
        return group(
            *(
                rollout(r, turn(prompt, rng.integers(5, 60, n), logprob=-4.1))
                for r, n in zip((1.0, -1.0, 1.0, -1.0), (2, 7, 5, 4), strict=True)
            )
        )

    groups = [make_group() for _ in range(4)]
    apart = update_of(groups, preset=preset, seq_len=64, devices=devices)
    layout = {"seq_len": 64, "devices": devices, "share_prompts": True}
    together = update_of(groups, preset=preset, **layout)
    assert_same(apart, together)
