"""The decoder that fits a tokenizer."""

import dataclasses

import pytest

from simex.jobs import setup as shared_settings
from simex.jobs.setup import DecoderShape, SamplerShape, Setup

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


def test_rows_of_the_embedding_are_padded_and_the_model_knows_how_many_are_ids():
    config = SHAPE.fit(371)
    assert (config.vocab_size, config.num_ids) == (384, 371)  # 6 x 64 rows
    config = SHAPE.fit(384)
    assert (config.vocab_size, config.num_ids) == (384, 384)
