"""The attention kernel for TPUs, run step by step, is the softmax of any platform."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.models import kernels, splash
from simex.models.config import ModelConfig
from simex.models.kernels import RowPart, blocked_softmax
from simex.models.segments import Segments

T, HEAD_DIM = 384, 128  # three blocks of 128
CONFIG = ModelConfig(
    vocab_size=32,
    d_model=16,
    num_layers=2,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=HEAD_DIM,
    d_ff=24,
)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Pallas without a TPU; kernels that were made so are forgotten again."""
    make = functools.partial(splash.kernels.make_splash_mha, interpret=True)
    monkeypatch.setattr(splash.kernels, "make_splash_mha", make)
    splash._make_kernel.cache_clear()
    yield
    splash._make_kernel.cache_clear()


@functools.cache
def inputs():
    """(q, k, v, a gradient, segments): sequences of 150 and 200, then padding."""
    keys = jax.random.split(jax.random.key(0), 4)
    sizes = (2, 1, 1, 2)  # heads
    arrays = [
        jax.random.normal(key, (1, T, n, HEAD_DIM)) for key, n in zip(keys, sizes)
    ]
    steps = jnp.arange(T)
    own_T = jnp.where(steps < 150, 1, jnp.where(steps < 350, 2, 0))
    return *arrays, Segments(own_T[None].astype(jnp.int32))


def run(kernel, config, window, part):
    """Its output and the gradients of q, k and v, of one part of the row's queries."""
    q, k, v, grad, segments = inputs()
    size = T // part.num_parts
    rows = slice(part.part * size, (part.part + 1) * size)
    queries = segments.part(rows.start, rows.stop)

    def attend(q, k, v):
        return kernel(config, q, k, v, queries, segments, part, window)

    out, pull = jax.vjp(attend, q[:, rows], k, v)
    # Padding sees padding or nothing, as a kernel likes, and nobody reads it.
    is_read = (queries.own_BT > 0)[:, :, None, None]
    return jnp.where(is_read, out, 0), *pull(jnp.where(is_read, grad[:, rows], 0))


@pytest.mark.parametrize("most_fused", [8, 0])  # backwards in one kernel, or in two
@pytest.mark.parametrize(
    ("window", "is_traced"), [(None, False), (100, False), (200, True)]
)
def test_splash_attention_is_the_softmax_with_its_gradients(
    monkeypatch, window, is_traced, most_fused
):
    monkeypatch.setattr(splash, "_MAX_FUSED_BLOCKS", most_fused)
    config = dataclasses.replace(CONFIG, windows=(window, None) if window else ())
    given = jnp.int32(window) if is_traced else window
    found = run(kernels.splash, config, given, RowPart())
    expected = run(blocked_softmax, config, window, RowPart())
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("window", [None, 100])
def test_a_part_of_a_row_sees_what_lies_before_it(window):
    part = RowPart(part=2, num_parts=3)
    found = run(kernels.splash, CONFIG, window, part)
    expected = run(blocked_softmax, CONFIG, window, part)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize(
    ("dtype", "num_positions", "is_splash"),
    [("bfloat16", 384, True), ("bfloat16", 160, False), ("float32", 384, False)],
)
def test_float32_and_odd_rows_are_not_left_to_the_kernel(
    monkeypatch, dtype, num_positions, is_splash
):
    # Their outputs are told apart by a number.
    monkeypatch.setattr(kernels, "splash", lambda *_: jnp.ones(1))
    monkeypatch.setattr(kernels, "blocked_softmax", lambda *_: jnp.zeros(1))
    config = dataclasses.replace(CONFIG, compute_dtype=dtype)
    q, k, v, _, segments = inputs()
    own = segments.part(0, num_positions)
    q, k, v = (x[:, :num_positions] for x in (q, k, v))
    out = kernels.splash_on_tpu(config, q, k, v, own, own, RowPart(), None)
    assert float(out[0]) == is_splash
    multiple = kernels.row_multiple(config, "tpu")
    assert is_splash == (multiple == 128 and num_positions % multiple == 0)
    assert kernels.row_multiple(config, "cpu") == 1
