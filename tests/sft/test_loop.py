"""The supervised loop on a tiny model: it learns, and a stopped run continues exactly."""

import json

import jax
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.core.metrics import MetricsLog
from simex.core.prng import key
from simex.data.mixture import Mixture
from simex.data.pipeline import make_batches
from simex.data.records import Example
from simex.data.tokenized import tokenize_split
from simex.models.config import ModelConfig
from simex.sft import loop
from simex.sft.loop import SftConfig, run_sft
from simex.sharding.mesh import make_mesh
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.checkpoint import Checkpoints
from simex.train.optimizer import OptimizerConfig
from simex.train.saved_params import load_params

NUM_STEPS = 6


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [f"say {i} again" for i in range(50)]
    out = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    return train_sentencepiece(texts, out, vocab_size=380, symbols=[])


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
        max_positions=32,
    )


@pytest.fixture(scope="module")
def split(tokenizer):
    examples = [
        Example(
            id=str(i),
            task="explain",
            prompt=f"say {i % 10}",
            target=f"{i % 10}",
            group=str(i),
            source="test",
        )
        for i in range(64)
    ]
    return tokenize_split(examples, tokenizer, seq_len=32)


def train(folder, split, model, *, num_steps, learning_rate=0.02):
    run_sft(
        folder,
        make_batches(split, Mixture(), batch_rows=8, seed=0),
        config=SftConfig(num_steps=num_steps, steps_between_saves=2),
        model=model,
        optimizer=OptimizerConfig(
            learning_rate=learning_rate, schedule="linear", num_steps=NUM_STEPS
        ),
        mesh=make_mesh(),
        key=key(0, "params"),
    )


def load(folder, model):
    return load_params(folder / "checkpoints", model, mesh=make_mesh())


def read_losses(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {r["step"]: r["loss"] for r in map(json.loads, lines)}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, split, model):
    """A run that was stopped after 2 train steps and continued to its end."""
    folder = tmp_path_factory.mktemp("stopped")
    for num_steps in (2, NUM_STEPS):
        train(folder, split, model, num_steps=num_steps)
    return folder


def test_a_stopped_run_continues_to_the_same_weights(stopped, tmp_path, split, model):
    train(tmp_path, split, model, num_steps=NUM_STEPS)
    whole, continued = load(tmp_path, model), load(stopped, model)
    jax.tree.map(np.testing.assert_array_equal, whole, continued)
    # Each part has a line at its end.
    assert set(read_losses(stopped)) == {1, 5} and set(read_losses(tmp_path)) == {5}


def test_a_finished_run_is_left_as_it_is(stopped, split, model):
    before = (stopped / "metrics.jsonl").read_text()
    train(stopped, split, model, num_steps=NUM_STEPS)
    assert (stopped / "metrics.jsonl").read_text() == before


def test_a_run_tells_its_compilations_and_its_wait_for_data(stopped):
    lines = (stopped / "metrics.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert 0 < first["input_wait_share"] < 1
    # A new process would read the step from disk; here it is another jitted function.
    assert second["num_compiles"] > first["num_compiles"] > 0


def test_the_loss_falls(stopped):
    losses = read_losses(stopped)  # means of the steps 0 and 1, and of the rest
    assert losses[5] < losses[1] - 0.5


def test_a_diverged_state_takes_the_place_of_no_checkpoint(tmp_path, split, model):
    # Saved every 2 train steps, logged every 10: the save must look by itself.
    train(tmp_path, split, model, num_steps=2)
    with pytest.raises(UserError, match="must stay finite; it is nan at train step 3"):
        train(tmp_path, split, model, num_steps=6, learning_rate=1e30)
    assert Checkpoints(tmp_path / "checkpoints").latest_step() == 2


def test_rates_after_a_resume_are_of_what_this_process_did(tmp_path, monkeypatch):
    """Nine of the ten steps of a line of the log were done before the stop."""
    now = [100.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    log = MetricsLog(tmp_path / "metrics.jsonl", first_step=9)
    recorder = loop._Recorder(log, lambda step: 0.1, SftConfig(num_steps=20))
    recorder.set_state([{"loss": [50.0, 100.0]}] * 9)
    now[0] += 2.0
    recorder.record(9, {"loss": (100.0, 100.0)})
    (line,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert (line["steps_per_sec"], line["target_tokens_per_sec"]) == (0.5, 50.0)
    assert line["loss"] == (9 * 50 + 100) / 1000


@pytest.mark.parametrize(
    "name", ["steps_between_saves", "steps_between_logs", "num_micro_batches"]
)
def test_an_interval_of_nothing_is_refused(name):
    with pytest.raises(UserError, match=f"{name} must be at least 1; got 0"):
        SftConfig(num_steps=3, **{name: 0})
