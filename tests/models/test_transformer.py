"""Packing, causality, the cache and the mesh never change what the decoder computes."""

import contextlib
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.models.cache import make_cache, merge_recent
from simex.models.config import ModelConfig
from simex.models.kernels import (
    RowPart,
    blocked_softmax,
    fused_on_gpu,
    splash_on_tpu,
)
from simex.models.layout import stack_layers, unstack_layers
from simex.models.rope import RopeScaling
from simex.models.segments import Segments, can_share_prefixes
from simex.models.transformer import (
    decode,
    forward,
    init_params,
    logits,
    prefill,
)
from simex.sharding.activations import placed
from simex.sharding.mesh import MeshConfig, batch_sharding, make_mesh, make_shardings
from simex.train.logprobs import token_logprobs

CONFIG = ModelConfig(
    vocab_size=32,
    d_model=16,
    num_layers=2,
    num_query_heads=4,
    num_kv_heads=2,
    head_dim=8,
    d_ff=24,
)
QWEN2_LIKE = ModelConfig(
    **{
        **vars(CONFIG),
        "qk_norm": False,
        "qkv_bias": True,
        "tie_embeddings": False,
        "num_kv_heads": 1,
    }
)


@functools.cache
def _params(config: ModelConfig):
    return init_params(config, jax.random.key(0))


def _row(*lengths: int, width: int, seed: int = 0) -> dict[str, jax.Array]:
    """One packed row of random segments, padded to `width`."""
    rng = np.random.default_rng(seed)
    tokens, segments, positions = (np.zeros((1, width), np.int32) for _ in range(3))
    start = 0
    for segment, length in enumerate(lengths, start=1):
        span = slice(start, start + length)
        tokens[0, span] = rng.integers(5, 32, length)
        segments[0, span], positions[0, span] = segment, np.arange(length)
        start += length
    return {
        "tokens_BT": jnp.array(tokens),
        "segment_ids_BT": jnp.array(segments),
        "positions_BT": jnp.array(positions),
    }


@functools.partial(jax.jit, static_argnums=0)
def _logits(config: ModelConfig, params, row) -> jax.Array:
    return logits(config, params, forward(config, params, **row))


@functools.partial(jax.jit, static_argnums=0)
def _hidden(config: ModelConfig, params, row) -> jax.Array:
    return forward(config, params, **row)


_decode = jax.jit(decode, static_argnums=0)
_prefill = jax.jit(prefill, static_argnums=0)


@pytest.mark.parametrize("config", [CONFIG, QWEN2_LIKE])
def test_packed_sequences_give_the_logits_they_have_alone(config) -> None:
    packed = _row(5, 3, 6, width=16)
    together = _logits(config, _params(config), packed)
    for start, length in ((0, 5), (5, 3), (8, 6)):
        span = slice(start, start + length)
        alone = _row(length, width=16)
        ids = packed["tokens_BT"][0, span]
        alone["tokens_BT"] = alone["tokens_BT"].at[0, :length].set(ids)
        np.testing.assert_allclose(
            together[:, span],
            _logits(config, _params(config), alone)[:, :length],
            atol=1e-5,
        )


def _shared_row(width: int) -> tuple[dict[str, jax.Array], list[list[int]]]:
    """A beginning of 4, two sequences that go on from it, a third for itself.

    Returns the row and the columns of each sequence.
    """
    row = _row(4, 3, 2, 3, width=width)
    prefixes = row["segment_ids_BT"].at[0, 4:9].set(1)
    positions = row["positions_BT"].at[0, 4:9].set(jnp.array([4, 5, 6, 4, 5]))
    row = {**row, "prefix_ids_BT": prefixes, "positions_BT": positions}
    head = [0, 1, 2, 3]
    return row, [[*head, 4, 5, 6], [*head, 7, 8], [9, 10, 11]]


@pytest.mark.parametrize(
    "mesh", [None, MeshConfig(fsdp=2), MeshConfig(fsdp=2, tensor=2, sequence=2)]
)
def test_sequences_that_share_a_beginning_have_the_logits_of_their_own(mesh) -> None:
    row, sequences = _shared_row(16)
    row = {name: jnp.repeat(values, 2, axis=0) for name, values in row.items()}
    with contextlib.ExitStack() as stack:
        if mesh is not None:
            devices = jax.devices()[: mesh.fsdp * mesh.tensor * mesh.sequence]
            stack.enter_context(placed(make_mesh(mesh, devices=devices)))
        together = jax.jit(
            lambda params: logits(CONFIG, params, forward(CONFIG, params, **row))
        )(_params(CONFIG))
    for columns in sequences:
        alone = _row(len(columns), width=16)
        ids = row["tokens_BT"][0, jnp.array(columns)]
        alone["tokens_BT"] = alone["tokens_BT"].at[0, : len(columns)].set(ids)
        expected = _logits(CONFIG, _params(CONFIG), alone)[0, : len(columns)]
        for found in together:
            np.testing.assert_allclose(found[jnp.array(columns)], expected, atol=1e-5)


@pytest.mark.parametrize("kernel", [fused_on_gpu, splash_on_tpu])
def test_kernels_of_other_platforms_see_the_same_prefixes(kernel) -> None:
    # Splash attention takes multiples of 128, and leaves prefixes to `blocked_softmax`;
    # what it computes itself is compared in test_splash.py.
    row, _ = _shared_row(128)
    segments = Segments(row["segment_ids_BT"], row["prefix_ids_BT"])
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (1, 128, 4, 8))
    k, v = (jax.random.normal(key, (1, 128, 2, 8)) for key in keys[1:])
    found, expected = (
        run(CONFIG, q, k, v, segments, segments, RowPart(), None)
        for run in (kernel, blocked_softmax)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_prefixes_are_refused_where_a_layer_could_not_heed_them() -> None:
    windows = dataclasses.replace(CONFIG, windows=(4, None))
    assert can_share_prefixes(CONFIG, "cpu") and can_share_prefixes(CONFIG, "gpu")
    assert not can_share_prefixes(CONFIG, "tpu")
    assert not can_share_prefixes(windows, "cpu")
    dynamic = RopeScaling(kind="dynamic", factor=2.0, original_max_positions=8)
    dynamic = dataclasses.replace(CONFIG, rope_scaling=dynamic)
    assert not can_share_prefixes(dynamic, "cpu")
    row, _ = _shared_row(16)
    for config in (windows, dynamic):
        with pytest.raises(ValueError, match="can_share_prefixes"):
            forward(config, _params(config), **row)


def test_no_gradient_flows_from_the_future_or_from_another_segment() -> None:
    row = _row(4, 4, width=10)
    params = _params(CONFIG)

    def hidden_of(embedding: jax.Array, position: int) -> jax.Array:
        changed = {**params, "embedder": {"embedding": embedding}}
        return jnp.sum(_hidden(CONFIG, changed, row)[0, position])

    # Every position its own token, so that embedding rows stand for positions.
    row["tokens_BT"] = jnp.arange(10, dtype=jnp.int32)[None]
    for position, allowed in ((1, {0, 1}), (3, {0, 1, 2, 3}), (5, {4, 5})):
        grad = jax.grad(hidden_of)(params["embedder"]["embedding"], position)
        touched = set(np.flatnonzero(np.abs(grad).sum(1)).tolist())
        assert touched == allowed


@pytest.mark.parametrize("config", [CONFIG, QWEN2_LIKE])
def test_decoding_from_a_cache_gives_the_full_forward(config) -> None:
    # Rows of 6 and 3 positions are prefilled; two chunks of 2 steps follow.
    params, tokens = _params(config), np.random.default_rng(1).integers(5, 32, (2, 10))
    whole = _row(10, width=10)
    whole = {name: jnp.repeat(x, 2, axis=0) for name, x in whole.items()}
    whole["tokens_BT"] = jnp.array(tokens, jnp.int32)
    expected = _hidden(config, params, whole)

    lengths = np.array([6, 3], np.int32)
    empty = make_cache(config, 2, 12)
    cache = jax.tree.map(
        lambda to, come: jax.lax.dynamic_update_slice(to, come, (0, 0, 0, 0)),
        empty,
        _prefill(config, params, **whole),
    )  # positions behind `lengths` are there too, and must not be looked at
    for _ in range(2):
        recent = make_cache(config, 2, 2)
        for column in range(2):
            at = lengths + column
            hidden, recent = _decode(
                config,
                params,
                tokens_B=jnp.array(tokens[[0, 1], at], jnp.int32),
                prefix=cache,
                lengths_B=jnp.array(lengths),
                recent=recent,
                column=jnp.int32(column),
            )
            np.testing.assert_allclose(hidden, expected[[0, 1], at], atol=1e-5)
        cache = merge_recent(cache, recent, jnp.array(lengths))
        lengths = lengths + 2


def test_sharded_params_give_the_logits_and_gradients_of_one_device() -> None:
    row = {name: jnp.repeat(x, 8, axis=0) for name, x in _row(5, 7, width=16).items()}
    row["tokens_BT"] = jax.random.randint(jax.random.key(1), (8, 16), 5, 32)

    def loss(params, row) -> jax.Array:
        return jnp.mean(jnp.square(_logits(CONFIG, params, row)))

    expected = jax.jit(jax.value_and_grad(loss))(_params(CONFIG), row)
    for sizes in ({"fsdp": 8}, {"data": 2, "fsdp": 2, "tensor": 2}):
        mesh = make_mesh(MeshConfig(**sizes))
        boxed = jax.eval_shape(
            lambda: init_params(CONFIG, jax.random.key(0), boxed=True)
        )
        params = jax.device_put(_params(CONFIG), make_shardings(boxed, mesh))
        rows = jax.device_put(row, batch_sharding(mesh))
        got = jax.jit(jax.value_and_grad(loss))(params, rows)
        for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(got)):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_bfloat16_matmuls_stay_near_float32_forwards_and_backwards() -> None:
    mixed = ModelConfig(**{**vars(CONFIG), "compute_dtype": "bfloat16"})
    row = _row(12, width=12)

    @functools.partial(jax.jit, static_argnums=1)
    @jax.value_and_grad
    def loss(params, config) -> jax.Array:
        return jnp.mean(jnp.square(_logits(config, params, row)))

    exact, exact_grad = loss(_params(CONFIG), CONFIG)
    near, near_grad = loss(_params(CONFIG), mixed)
    assert 0 < abs(near - exact) < 0.02 * exact  # bfloat16 has 8 bits: 2^-8 = 0.4 %
    up = ("layer_0", "feed_forward", "up", "kernel")
    a, b = (functools.reduce(dict.get, up, g) for g in (exact_grad, near_grad))
    cosine = jnp.sum(a * b) / jnp.linalg.norm(a) / jnp.linalg.norm(b)
    assert b.dtype == jnp.float32 and cosine > 0.999


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("remat", ["dots", "full"])
def test_what_is_computed_again_changes_no_gradient(remat, scan_layers) -> None:
    config = ModelConfig(**{**vars(QWEN2_LIKE), "windows": (None, 3)})
    again = ModelConfig(**{**vars(config), "remat": remat, "scan_layers": scan_layers})
    row = _row(7, 4, width=12)

    @functools.partial(jax.jit, static_argnums=1)
    @jax.grad
    def gradient(params, config) -> jax.Array:
        return jnp.mean(jnp.square(_logits(config, params, row)))

    expected = gradient(_params(config), config)
    params = _params(config)
    params = stack_layers(again, params) if scan_layers else params
    got = unstack_layers(again, gradient(params, again))
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(got), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


def test_the_parameter_count_is_what_init_makes() -> None:
    for config in (CONFIG, QWEN2_LIKE):
        count = sum(leaf.size for leaf in jax.tree.leaves(_params(config)))
        assert count == config.num_params


def test_flops_of_a_token_are_twice_its_multiply_adds() -> None:
    # Kernels of CONFIG in a layer: q, o 16x32, k, v 16x16, three 16x24 -> 2688.
    # 10 visible positions: scores and values 2 x 10 x 32 = 640. Output 32 x 16 = 512.
    assert CONFIG.matmul_flops_per_token(10) == 2 * (2 * (2688 + 640) + 512)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_kv_heads": 3}, "multiple of num_kv_heads"),
        ({"head_dim": 7}, "even"),
        ({"compute_dtype": "float16"}, "float32, bfloat16"),
        ({"vocab_size": 0}, "vocab_size must be positive"),
        ({"num_ids": 33}, "num_ids must lie in 1..vocab_size"),
    ],
)
def test_an_impossible_shape_is_refused(change, message) -> None:
    with pytest.raises(UserError, match=message):
        ModelConfig(**{**vars(CONFIG), **change})


@pytest.mark.parametrize("base", [CONFIG, QWEN2_LIKE], ids=["qwen3", "qwen2"])
def test_a_model_that_keeps_bfloat16_is_near_one_that_keeps_float32(monkeypatch, base):
    config = dataclasses.replace(base, compute_dtype="bfloat16")
    row = _row(9, 7, width=16)
    batch = {name.rpartition("_")[0]: values for name, values in row.items()}

    def grads():
        def loss(params):
            with placed(make_mesh(devices=jax.devices()[:1])):
                return token_logprobs(config, params, batch)[0].sum()

        return jax.jit(jax.value_and_grad(loss))(_params(config))

    loss, wide = grads()
    monkeypatch.setattr("simex.models.matmul.platform_of", lambda mesh: "gpu")
    rounded_loss, rounded = grads()
    assert rounded_loss != loss  # something was rounded
    assert rounded_loss == pytest.approx(float(loss), rel=1e-3)
    for path, want in jax.tree_util.tree_leaves_with_path(wide):
        got = functools.reduce(lambda tree, part: tree[part.key], path, rounded)
        assert got.dtype == jnp.float32
        assert np.linalg.norm(got - want) <= 0.05 * np.linalg.norm(want), path
