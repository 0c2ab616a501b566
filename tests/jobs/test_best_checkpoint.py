"""STAGE is the newest checkpoint of a stage and STAGE@best its best, whoever loads it."""

import jax
import jax.numpy as jnp
import pytest

from simex.jobs import import_model
from simex.jobs.pretrained import PretrainedDecoder
from simex.jobs.setup import DecoderShape, Setup
from simex.models.transformer import init_params
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.checkpoint import Checkpoints

LOSS = "validation/loss"  # less is better
SHAPE = DecoderShape(
    d_model=16, num_layers=1, num_query_heads=2, num_kv_heads=1, head_dim=8, d_ff=24,
    max_positions=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Of two checkpoints the first, all zeros, is the best; the newest is all ones."""
    workdir = tmp_path_factory.mktemp("run")
    (workdir / "train_tokenizer").mkdir()
    (workdir / "sft").mkdir()
    texts = [f"print({i} + {i * 7})\n" for i in range(200)]
    path = workdir / "train_tokenizer" / "tokenizer.model"
    train_sentencepiece(texts, path, vocab_size=400, symbols=())
    SHAPE.save_description(workdir, workdir / "sft")
    params = init_params(SHAPE.load_config(workdir), jax.random.key(0))
    checkpoints = Checkpoints(workdir / "sft" / "checkpoints", best_metric=LOSS)
    for step in (0, 1):
        full = jax.tree.map(lambda p, value=step: jnp.full_like(p, value), params)
        checkpoints.save(step, {"state.params": full}, metrics={LOSS: float(step)})
    checkpoints.close()
    return workdir


@pytest.mark.parametrize("decoder", [SHAPE, PretrainedDecoder(stage="sft")])
@pytest.mark.parametrize(("name", "value"), [("sft", 1.0), ("sft@best", 0.0)])
def test_a_decoder_loads_the_checkpoint_that_is_named(workdir, decoder, name, value):
    mesh = make_mesh(MeshConfig())
    params = Setup(decoder=decoder).load_params(workdir, name, mesh=mesh)
    found = {float(leaf.ravel()[0]) for leaf in jax.tree.leaves(params)}
    assert found == {value}


def test_the_checkpoint_that_is_named_is_exported(workdir, monkeypatch):
    """What is written of a step is for tests of hf.export to say."""
    asked = []
    monkeypatch.setattr(
        import_model,
        "export_checkpoint",
        lambda source, out, *, step, **settings: asked.append((source, step)),
    )
    for model in ("sft", "sft@best"):
        import_model.export_model(workdir, workdir / "export", model=model)
    assert asked == [(workdir / "sft", None), (workdir / "sft", "best")]
