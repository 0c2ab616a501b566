"""Held-out examples: the figures by a slow reference, and that nothing learns of them."""

import json

import jax
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.core.metrics import mean_values
from simex.core.prng import key
from simex.data.mixture import Mixture
from simex.data.pipeline import make_batches
from simex.data.records import Example
from simex.data.tokenized import TokenizedSplit, tokenize_split
from simex.models.transformer import init_params
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest
from simex.sft import loop
from simex.sft.held_out import make_measure, pack_held_out, summarise
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.chat import Rendered, render_prompt
from simex.train.checkpoint import Checkpoints
from simex.train.optimizer import OptimizerConfig
from simex.train.saved_params import load_params
from tests.sft.test_loop import model, tokenizer  # noqa: F401  (fixtures)

LOSS = "validation/loss"


def tokenize(tokenizer, tasks, *, first=0):  # noqa: F811
    examples = [
        Example(
            id=f"{task}/{i}",
            task=task,
            prompt=f"say {i % 10}",
            target=f"{i % 10} " * (1 + i % 3),
            group=str(i),
            source="test",
        )
        for task, number in tasks.items()
        for i in range(first, first + number)
    ]
    return tokenize_split(examples, tokenizer, seq_len=32)


@pytest.fixture(scope="module")
def held_out(tokenizer):  # noqa: F811
    split = tokenize(tokenizer, {"explain": 5, "solve": 7})
    return pack_held_out(split, batch_rows=4, steps_between=2)


def one_device():
    return make_mesh(devices=jax.devices()[:1])


def train(folder, tokenizer, model, *, num_steps, held_out=None, keep_best=""):  # noqa: F811
    split = tokenize(tokenizer, {"explain": 64}, first=100)
    loop.run_sft(
        folder,
        make_batches(split, Mixture(), batch_rows=8, seed=0),
        config=loop.SftConfig(
            num_steps=num_steps,
            steps_between_saves=2,
            steps_between_logs=3,
            keep_best=keep_best,
        ),
        model=model,
        optimizer=OptimizerConfig(name="adamw", learning_rate=0.02, num_steps=6),
        mesh=one_device(),
        key=key(0, "params"),
        held_out=held_out,
    )


def load(folder, model, step=None):  # noqa: F811
    return load_params(folder / "checkpoints", model, mesh=one_device(), step=step)


def read_measured(folder):
    """What was measured, by train step."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {
        r["step"]: {k: v for k, v in r.items() if k.startswith("validation/")}
        for r in lines
        if LOSS in r
    }


def test_figures_are_sums_over_examples_and_tokens():
    # The second example of "a" misses 3 of its 4 tokens; "b" misses none.
    found = summarise(
        ["a", "a", "b"],
        losses=np.array([1.0, 2.0, 0.5]),
        tokens=np.array([2.0, 4.0, 5.0]),
        misses=np.array([0.0, 3.0, 0.0]),
    )
    assert found == {
        "validation/loss": (3.5, 11.0),
        "validation/reproduced": (2.0, 3.0),
        "validation/a/loss": (3.0, 6.0),
        "validation/a/reproduced": (1.0, 2.0),
        "validation/b/loss": (0.5, 5.0),
        "validation/b/reproduced": (1.0, 1.0),
    }


def test_every_example_is_packed_once_and_batches_have_one_shape(held_out):
    seen = np.concatenate([batch["example"].reshape(-1) for batch in held_out.batches])
    assert sorted(set(seen.tolist()) - {0}) == list(range(1, 13))
    assert {batch["tokens"].shape for batch in held_out.batches} == {(4, 32)}
    assert len(held_out.metrics) == 2 * 3


def test_reproduced_is_what_greedy_decoding_reproduces(tokenizer, model):  # noqa: F811
    """Of eight targets the sampler gives the first five; three have one other token."""
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))()
    sampler = Sampler(
        model,
        one_device(),
        num_slots=8,
        max_prompt_len=16,
        max_total_len=32,
        chunk_steps=4,
    )
    prompts = [tuple(render_prompt(tokenizer, f"say {i}")) for i in range(8)]
    samples = sampler.sample(
        params,
        [
            SampleRequest(prompt_ids=ids, max_new_tokens=6, seed_path=(i,))
            for i, ids in enumerate(prompts)
        ],
        SamplingMethod(temperature=0.0),
    )
    rendered = []
    for number, (prompt, sample) in enumerate(zip(prompts, samples, strict=True)):
        target = sample.ids.copy()
        if number >= 5:
            target[number - 4] ^= 1
        mask = np.repeat([0.0, 1.0], [len(prompt), len(target)])
        ids = np.concatenate([prompt, target]).astype(np.int32)
        rendered.append(Rendered(ids=ids, loss_mask=mask.astype(np.float32)))
    report = tokenize(tokenizer, {"explain": 1}).report
    split = TokenizedSplit(tasks={"explain": rendered}, report=report, pad_id=0)
    packed = pack_held_out(split, batch_rows=4, steps_between=1)
    measured = make_measure(packed, model, one_device())(params)
    assert measured["validation/reproduced"] == (5, 8)


def test_packed_examples_have_the_losses_of_examples_alone(tokenizer, model, held_out):  # noqa: F811
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))()
    sharded = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    found = make_measure(held_out, model, sharded)(params)
    total = weight = 0.0
    for task, number in (("explain", 5), ("solve", 7)):
        split = tokenize(tokenizer, {task: number})
        alone = pack_held_out(split, batch_rows=4, steps_between=1)
        own = make_measure(alone, model, one_device())(params)[LOSS]
        np.testing.assert_allclose(found[f"validation/{task}/loss"], own, rtol=1e-5)
        total, weight = total + own[0], weight + own[1]
    np.testing.assert_allclose(found[LOSS], (total, weight), rtol=1e-5)
    # Hardly trained, every token is about as likely as any other.
    assert abs(total / weight - np.log(model.vocab_size)) < 0.5


def test_a_stopped_run_that_looks_has_the_weights_of_one_that_does_not(
    tmp_path,
    tokenizer,  # noqa: F811
    model,  # noqa: F811
    held_out,
):
    train(tmp_path / "blind", tokenizer, model, num_steps=6)
    given = {"held_out": held_out, "keep_best": LOSS}
    for num_steps in (4, 6):
        train(tmp_path / "stopped", tokenizer, model, num_steps=num_steps, **given)
    blind, stopped = (load(tmp_path / name, model) for name in ("blind", "stopped"))
    jax.tree.map(np.testing.assert_array_equal, blind, stopped)
    measured = read_measured(tmp_path / "stopped")
    assert list(measured) == [1, 3, 5]  # after 2, 4 and 6 train steps
    # What the last line says is what the last checkpoint gives, when it is asked again.
    again = mean_values(make_measure(held_out, model, one_device())(stopped))
    assert measured[5] == again
    best = Checkpoints(tmp_path / "stopped" / "checkpoints").best()
    lowest = min(measured, key=lambda step: measured[step][LOSS])
    assert best == (lowest + 1, measured[lowest][LOSS])


@pytest.mark.long
def test_the_best_step_stays_on_disk_although_it_is_old(
    tmp_path,
    tokenizer,  # noqa: F811
    model,  # noqa: F811
    held_out,
    monkeypatch,
):
    script = {1: 3.0, 2: 2.0, 3: 1.0, 4: 1.5, 5: 1.6, 6: 1.7}
    monkeypatch.setattr(
        loop, "make_evaluation", lambda *_: lambda done, params: {LOSS: script[done]}
    )
    train(tmp_path / "short", tokenizer, model, num_steps=3)
    train(tmp_path / "run", tokenizer, model, num_steps=5, keep_best=LOSS)
    # Step 3 is not one of those saved anyway; it was saved for being the best.
    assert Checkpoints(tmp_path / "run" / "checkpoints").best() == (3, 1.0)
    jax.tree.map(
        np.testing.assert_array_equal,
        load(tmp_path / "short", model),
        load(tmp_path / "run", model, "best"),
    )


def test_a_metric_that_nothing_measures_is_refused_at_the_start(
    tmp_path,
    tokenizer,  # noqa: F811
    model,  # noqa: F811
    held_out,
):
    with pytest.raises(UserError, match="one of validation/explain/loss, "):
        train(
            tmp_path,
            tokenizer,
            model,
            num_steps=1,
            held_out=held_out,
            keep_best="validation/los",
        )
    with pytest.raises(UserError, match="measured, but nothing is"):
        train(tmp_path, tokenizer, model, num_steps=1, keep_best=LOSS)
