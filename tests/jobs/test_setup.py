"""The decoder that fits a tokenizer."""

import dataclasses

import jax
import pytest

from simex.core.errors import UserError
from simex.data.records import Example
from simex.hf.description import load_description
from simex.jobs import setup as shared_settings
from simex.jobs import supervised
from simex.jobs import train_sft as sft
from simex.jobs.checkpoint_teller import CheckpointTeller
from simex.jobs.pretrained import PretrainedDecoder
from simex.jobs.setup import DecoderShape, SamplerShape, Setup
from simex.sharding.mesh import MeshConfig
from simex.tokens.saved import load_tokenizer
from simex.tokens.train_tokenizer import train_sentencepiece

SHAPE = DecoderShape(
    d_model=16, num_layers=1, num_query_heads=2, num_kv_heads=1, head_dim=8, d_ff=24,
    max_positions=32,
)  # fmt: skip


@pytest.mark.parametrize(("tensor", "together"), [(None, 1), (1, 1), (4, 4)])
def test_devices_that_decode_together_are_neighbours_in_the_mesh(
    tensor, together, monkeypatch
):
    """A mesh of one process looks the same either way, so the call is looked at."""
    asked = []
    make = shared_settings.make_mesh
    monkeypatch.setattr(
        shared_settings,
        "make_mesh",
        lambda *a, **kw: asked.append(kw) or make(*a, **kw),
    )
    setup = Setup(decoder=SHAPE)
    if tensor is not None:
        setup = dataclasses.replace(setup, sampler=SamplerShape(tensor=tensor))
    assert setup.make_mesh().size == 8
    assert asked == [{"decode_together": together}]


def test_every_setting_of_a_shape_reaches_the_model():
    changed = {"compute_dtype": "bfloat16", "scan_layers": True}
    config = dataclasses.replace(SHAPE, **changed).fit(70)
    assert (config.vocab_size, config.num_ids) == (128, 70)  # rows: a multiple of 64
    for field in dataclasses.fields(SHAPE):
        expected = changed.get(field.name, getattr(SHAPE, field.name))
        assert getattr(config, field.name) == expected, field.name
    assert not SHAPE.fit(70).scan_layers


def test_every_setting_of_a_sampler_reaches_it():
    shape = SamplerShape(
        num_slots=16, chunk_steps=4, prefill_rows=2, tensor=2, cache_dtype="bfloat16"
    )
    mesh = shape.make_mesh(MeshConfig())
    config = SHAPE.fit(64)
    made = shape.make_sampler(
        config, mesh, stop_ids=(3,), max_prompt_len=8, max_total_len=24
    )
    assert (made.num_slots, made.chunk_steps, made.prefill_rows) == (16, 4, 2)
    assert (made.max_prompt_len, made.max_total_len, made.stop_ids) == (8, 24, (3,))
    cache = made.programs.abstract_cache(16, 32)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(cache)} >= {"bfloat16"}
    longest = shape.make_sampler(config, mesh, stop_ids=())
    assert (longest.max_prompt_len, longest.max_total_len) == (16, 32)
    twice = dataclasses.replace(shape, max_prompt_len=9)
    with pytest.raises(UserError, match="max_prompt_len of its own; it is 9"):
        twice.make_sampler(config, mesh, stop_ids=(), max_prompt_len=8)


def test_a_teller_with_a_setup_has_no_sizes_of_its_own():
    setup = Setup(decoder=SHAPE)
    CheckpointTeller(model="train_rl", setup=setup, batch_size=4)
    with pytest.raises(UserError, match="so max_new_tokens, sampler must be left"):
        CheckpointTeller(
            model="train_rl",
            setup=setup,
            max_new_tokens=6,
            sampler=SamplerShape(num_slots=8),
        )


def test_a_stage_of_sft_leaves_a_model_that_others_load(tmp_path, monkeypatch):
    """Only training itself is left out."""
    (tmp_path / "train_tokenizer").mkdir()
    path = tmp_path / "train_tokenizer" / "tokenizer.model"
    texts = [f"print({i} + {i * 7})\n" for i in range(200)]
    train_sentencepiece(texts, path, vocab_size=400, symbols=())
    example = Example(
        id="a", task="solve", prompt="1", target="2", group="a", source="curriculum"
    )
    monkeypatch.setattr(supervised, "load_split", lambda folder, split: [example])
    monkeypatch.setattr(supervised, "run_sft", lambda folder, batches, **settings: None)
    first, then = tmp_path / "first", tmp_path / "then"
    settings = {"seed": 0, "num_steps": 30, "batch_rows": 8, "learning_rate": 1e-3}
    for folder, decoder in ((first, SHAPE), (then, PretrainedDecoder(stage="first"))):
        folder.mkdir()
        sft.train_sft(tmp_path, folder, setup=Setup(decoder=decoder), **settings)
        found = load_description(folder)
        assert found.config == SHAPE.load_config(tmp_path)
        assert found.stop_ids == SHAPE.load_stop_ids(tmp_path)
        tokenizer = load_tokenizer(folder / "tokenizer")
        assert tokenizer.encode("print") == SHAPE.load_tokenizer(tmp_path).encode(
            "print"
        )


def test_rows_of_the_embedding_are_padded_and_the_model_knows_how_many_are_ids():
    config = SHAPE.fit(371)
    assert (config.vocab_size, config.num_ids) == (384, 371)  # 6 x 64 rows
    config = SHAPE.fit(384)
    assert (config.vocab_size, config.num_ids) == (384, 384)
