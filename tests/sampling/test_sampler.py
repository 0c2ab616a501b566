"""The sampler says what the trainer says, whatever else is in the batch."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.models.rope import RopeScaling
from simex.models.transformer import forward, init_params, logits
from simex.sampling.keys import path_key
from simex.sampling.methods import SamplingMethod
from simex.sampling.run import round_up_rows
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest, Stop
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.train.logprobs import token_logprobs

CONFIG = ModelConfig(
    vocab_size=32,
    d_model=16,
    num_layers=2,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=8,
    d_ff=24,
)
STOP_ID = 4
MAX_TOTAL = 72


@functools.cache
def _params():
    params = init_params(CONFIG, jax.random.key(0))
    params["embedder"]["embedding"] *= 20  # peaked, so that a wrong cache shows
    return params


@functools.cache
def _sampler(
    num_slots: int = 16,
    num_devices: int = 2,
    chunk_steps: int = 4,
    span_multiple: int = 128,
) -> Sampler:
    mesh = make_mesh(MeshConfig(), devices=jax.devices()[:num_devices])
    return Sampler(
        CONFIG,
        mesh,
        num_slots=num_slots,
        max_prompt_len=40,
        max_total_len=MAX_TOTAL,
        stop_ids=(STOP_ID,),
        chunk_steps=chunk_steps,
        span_multiple=span_multiple,
    )


def _requests(num_prompts: int = 5, group: int = 4) -> list[SampleRequest]:
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 32, length).tolist() for length in (1, 3, 33, 17, 40)][
        :num_prompts
    ]
    return [
        SampleRequest(
            prompt_ids=prompt, max_new_tokens=7 + 3 * g, seed_path=(0, 9, p, g)
        )
        for p, prompt in enumerate(prompts)
        for g in range(group)
    ]


@functools.cache
def _samples(method: SamplingMethod, **sampler):
    return _sampler(**sampler).sample(_params(), _requests(), method)


WARM = SamplingMethod(temperature=0.7)


@functools.partial(jax.jit, static_argnames="temperature")
def _trainer_logprobs(params, batch, temperature):
    return token_logprobs(CONFIG, params, batch, temperature=temperature)[0]


@pytest.mark.parametrize(
    "method", [WARM, SamplingMethod(temperature=0.7, top_p=0.9), SamplingMethod()]
)
def test_sampler_logprobs_are_trainer_logprobs(method) -> None:
    requests, samples = _requests(), _samples(method)
    rows = np.zeros((len(requests), MAX_TOTAL), np.int32)
    for row, request, sample in zip(rows, requests, samples):
        whole = [*request.prompt_ids, *sample.ids]
        row[: len(whole)] = whole
    batch = {
        "tokens": jnp.array(rows),
        "segment_ids": jnp.ones_like(rows),
        "positions": jnp.tile(jnp.arange(MAX_TOTAL, dtype=jnp.int32), (len(rows), 1)),
    }
    expected = _trainer_logprobs(_params(), batch, method.temperature)
    for row, request, sample in zip(np.asarray(expected), requests, samples):
        start = len(request.prompt_ids)
        np.testing.assert_allclose(
            sample.logprobs, row[start : start + len(sample.ids)], atol=1e-5
        )


def test_greedy_samples_are_those_of_the_uncached_forward() -> None:
    samples = _samples(SamplingMethod(temperature=0.0))

    @jax.jit
    def next_token(ids, length):
        hidden = forward(
            CONFIG,
            _params(),
            tokens_BT=ids,
            segment_ids_BT=jnp.ones_like(ids),
            positions_BT=jnp.arange(MAX_TOTAL, dtype=jnp.int32)[None],
        )
        return jnp.argmax(logits(CONFIG, _params(), hidden)[0, length - 1])

    for request, sample in list(zip(_requests(), samples))[::4]:
        ids = list(request.prompt_ids)
        for expected in sample.ids:
            padded = jnp.array([ids + [0] * (MAX_TOTAL - len(ids))], jnp.int32)
            assert int(next_token(padded, len(ids))) == expected
            ids.append(int(expected))


def test_a_sample_ends_at_a_stop_id_or_at_its_length() -> None:
    stops = set()
    for request, sample in zip(_requests(), _samples(SamplingMethod(temperature=2.0))):
        assert len(sample.ids) == len(sample.logprobs) == len(sample.log_kept)
        assert STOP_ID not in sample.ids[:-1]
        stops.add(sample.stop)
        if sample.stop is Stop.STOP_ID:
            assert sample.ids[-1] == STOP_ID
        else:
            room = MAX_TOTAL - len(request.prompt_ids)
            assert len(sample.ids) == min(request.max_new_tokens, room)
    assert stops == {Stop.STOP_ID, Stop.LENGTH}


@pytest.mark.parametrize(
    "other",
    [
        {"num_slots": 2},
        {"chunk_steps": 3},
        {"num_slots": 8, "num_devices": 8},
        {"num_devices": 1, "span_multiple": 32},  # its cache grows, its batch shrinks
    ],
)
def test_slots_chunks_and_devices_do_not_change_samples(other) -> None:
    for a, b in zip(_samples(WARM), _samples(WARM, **other)):
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-5)


def test_neighbours_do_not_change_a_sample() -> None:
    alone = _sampler().sample(_params(), _requests()[7:8], WARM)
    np.testing.assert_array_equal(alone[0].ids, _samples(WARM)[7].ids)


def test_samples_of_a_group_differ_and_are_told_as_they_finish() -> None:
    told = {}
    samples = _sampler().sample(_params(), _requests(), WARM, on_done=told.__setitem__)
    assert [told[i] for i in range(len(samples))] == samples
    group = samples[8:12]
    assert len({tuple(sample.ids[:5].tolist()) for sample in group}) > 1


def test_a_prompt_is_prefilled_once_for_its_group() -> None:
    sampler = _sampler()
    sampler.sample(_params(), _requests(num_prompts=1, group=8), WARM)
    # Eight requests on two devices: the prompt of one token once on each.
    assert sampler.stats.num_prefills == 1
    assert sampler.stats.kept_tokens > 0
    assert 0 < sampler.stats.kept_fraction <= 1


def test_a_second_call_with_another_method_compiles_nothing() -> None:
    sampler = _sampler()
    sampler.sample(_params(), _requests(), WARM)
    with jax.no_tracing():
        sampler.sample(_params(), _requests(), SamplingMethod(top_p=0.5, top_k=3))


def test_compilations_are_counted() -> None:
    sampler = _sampler()
    for _ in range(2):
        sampler.sample(_params(), _requests(), WARM)
    assert sampler.stats.num_compiles == 0
    longer = _sampler(chunk_steps=5)
    longer.sample(_params(), _requests()[:2], WARM)
    assert longer.stats.num_compiles > 0


@pytest.mark.parametrize("size", ["chunk_steps", "prefill_rows"])
def test_sizes_that_cannot_be_are_refused_before_anything_compiles(size) -> None:
    with pytest.raises(UserError, match="chunk_steps and prefill_rows .* at least 1"):
        Sampler(
            CONFIG,
            make_mesh(),
            num_slots=8,
            max_prompt_len=4,
            max_total_len=8,
            **{size: 0},
        )


def test_batches_have_few_sizes_and_fewer_where_a_compiler_is_slow() -> None:
    sizes = {
        platform: sorted({round_up_rows(n, platform=platform) for n in range(1, 129)})
        for platform in ("cpu", "gpu", "tpu")
    }
    assert sizes["cpu"] == [8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128]
    assert sizes["gpu"] == sizes["tpu"] == [64, 128]
    assert all(round_up_rows(n, platform="gpu") >= n for n in range(1, 1000))


def test_each_request_may_have_a_method_of_its_own() -> None:
    greedy = SamplingMethod(temperature=0.0)
    mixed = [
        dataclasses.replace(request, method=greedy if i % 2 else None)
        for i, request in enumerate(_requests())
    ]
    for i, sample in enumerate(_sampler().sample(_params(), mixed, WARM)):
        alike = _samples(greedy if i % 2 else WARM)[i]
        np.testing.assert_array_equal(sample.ids, alike.ids)


def test_the_order_of_requests_does_not_change_samples() -> None:
    turned = _sampler().sample(_params(), _requests()[::-1], WARM)
    for a, b in zip(_samples(WARM), turned[::-1]):
        np.testing.assert_array_equal(a.ids, b.ids)


@pytest.mark.parametrize("part", range(4))
def test_run_step_problem_and_sample_each_choose_other_samples(part) -> None:
    assert path_key((1, 2, 3, 4)).tolist() == path_key((1, 2, 3, 4)).tolist()
    other = [1, 2, 3, 4]
    other[part] += 1
    assert path_key(other).tolist() != path_key((1, 2, 3, 4)).tolist()


def test_a_dynamic_rope_samples_no_longer_rows_than_it_leaves_alone() -> None:
    mesh = make_mesh(MeshConfig(), devices=jax.devices()[:1])
    rope = RopeScaling(kind="dynamic", factor=2.0, original_max_positions=48)
    config = dataclasses.replace(CONFIG, rope_scaling=rope)
    sizes = {"num_slots": 1, "max_prompt_len": 40}
    assert Sampler(config, mesh, max_total_len=48, **sizes).max_total_len == 48
    with pytest.raises(UserError, match="dynamic RoPE scaling, but they are 49 and 48"):
        Sampler(config, mesh, max_total_len=49, **sizes)


def test_bad_requests_are_refused_by_number() -> None:
    bad = SampleRequest(prompt_ids=[5] * 41, max_new_tokens=1, seed_path=(0,))
    with pytest.raises(UserError, match="1 to 40 tokens, but prompt 1 has 41"):
        _sampler().sample(_params(), [*_requests()[:1], bad], WARM)
    with pytest.raises(UserError, match="multiple of 2"):
        Sampler(
            CONFIG,
            make_mesh(devices=jax.devices()[:2]),
            num_slots=3,
            max_prompt_len=4,
            max_total_len=8,
        )


def test_a_stop_has_no_truth_value() -> None:
    with pytest.raises(TypeError):
        bool(Stop.LENGTH)


def test_a_cache_grows_layer_by_layer_and_gives_up_the_old_one(monkeypatch) -> None:
    programs = _sampler(num_devices=1).programs
    old = programs.make_cache(2, 32)
    resize, still_there = programs._resize, []

    def look(layers, *arguments):
        still_there.append([not layer.k_BKHS.is_deleted() for layer in old])
        return resize(layers, *arguments)

    monkeypatch.setattr(programs, "_resize", look)
    new = programs.resize(old, np.array([1, 0, 1], np.int32), 64)
    assert still_there == [[True, True], [False, True]]  # of the two layers
    assert [layer.v_BKSH.shape for layer in new] == [(3, 1, 64, 8)] * 2
    assert all(array.is_deleted() for layer in old for array in layer)


@pytest.mark.parametrize(
    ("platform", "dtype", "width"),
    [("cpu", "bfloat16", 64), ("tpu", "bfloat16", 128), ("tpu", "float32", 64)],
)
def test_prompts_are_as_wide_as_the_attention_kernel_likes(
    monkeypatch, platform, dtype, width
) -> None:
    """Prompts of up to 40 tokens: spans of 32, or the blocks of 128 of splash."""
    monkeypatch.setattr("simex.sampling.sampler.platform_of", lambda mesh: platform)
    sampler = Sampler(
        dataclasses.replace(CONFIG, compute_dtype=dtype),
        make_mesh(MeshConfig(), devices=jax.devices()[:1]),
        num_slots=16,
        max_prompt_len=40,
        max_total_len=MAX_TOTAL,
    )
    assert sampler.prefill_width == width
