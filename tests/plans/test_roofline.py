"""Seconds and utilisation from counted work, by hand."""

import dataclasses

import pytest

from simex.models.config import ModelConfig
from simex.models.sizes import SIZES
from simex.plans.estimate import estimate_stage
from simex.plans.flops import attention_flops_per_token, model_work, num_decode_groups
from simex.plans.generations import GENERATIONS
from simex.plans.report import Work
from simex.plans.roofline import Times, make_times, mfu
from simex.plans.stage import RlStage, SamplerSizes, SftStage
from simex.rl.presets import PRESETS
from simex.sharding.mesh import MeshConfig
from simex.train.optimizer import OptimizerConfig

MODEL = ModelConfig(
    vocab_size=64, d_model=8, num_layers=2, num_query_heads=2, num_kv_heads=1,
    head_dim=4, d_ff=16, max_positions=32,
)  # fmt: skip
V5E = GENERATIONS["v5e"]
# 2 FLOPs a multiply-add. A layer: q and o 8x8, k and v 8x4, feed-forward 3 of 8x16; then
# the head 64x8.
DENSE = 2 * (2 * (2 * 64 + 2 * 32 + 3 * 128) + 512)
# A token of a row of 32 sees 1, 2, ... 32 positions, 16.5 on average, with 2 heads of 4,
# once for scores and once for values, in 2 layers.
ATTENTION = 2 * 2 * 2 * (2 * 4) * 16.5

SFT = SftStage(
    name="sft", model=MODEL, mesh=MeshConfig(), optimizer=OptimizerConfig(),
    batch_rows=16, seq_len=32,
)  # fmt: skip
RL = RlStage(
    name="rl", model=MODEL, mesh=MeshConfig(tensor=2), optimizer=OptimizerConfig(),
    algorithm=PRESETS["paper"], temperature=1.0, rows=4, seq_len=32,
    rollouts_per_step=64, prompts_per_step=8, max_new_tokens=16,
    sampler=SamplerSizes(
        num_slots=32, chunk_steps=4, prefill_rows=2, max_prompt_len=8,
        cache_dtype="float32",
    ),
)  # fmt: skip


def work(**changes):
    nothing = Work(
        matmul_flops=0.0, once_flops=0.0, hbm_bytes=0.0, once_bytes=0.0,
        collective_bytes={}, compiler_secs=None, num_kernels=0.0, compile_secs=0.0,
    )  # fmt: skip
    return dataclasses.replace(nothing, **changes)


def test_an_update_costs_three_forward_passes_of_every_token():
    found = model_work(SFT, "sft_update", 4)
    assert found.tokens == 16 * 32
    assert found.flops == pytest.approx(16 * 32 * 3 * (DENSE + ATTENTION))
    # Kernels: forward 2 products, backward 3 + 4, and no forward pass again.
    assert found.attention_flops == pytest.approx(16 * 32 * ATTENTION * 4.5)


def test_with_rematerialisation_kernels_run_forward_twice():
    remat = dataclasses.replace(SFT, model=dataclasses.replace(MODEL, remat="full"))
    found = model_work(remat, "sft_update", 4)
    assert found.attention_flops == pytest.approx(16 * 32 * ATTENTION * 5.5)
    assert found.flops == model_work(SFT, "sft_update", 4).flops  # not the model's need


def test_a_window_bounds_what_a_token_sees():
    windowed = dataclasses.replace(MODEL, windows=(8, None))
    # One layer: 1, 2, ... 8, then 8 for each of 24 more: (36 + 192) / 32 on average.
    expected = 2 * 2 * (2 * 4) * (16.5 + 228 / 32)
    assert attention_flops_per_token(windowed, 32) == pytest.approx(expected)


def test_devices_along_tensor_decode_the_same_rows():
    assert num_decode_groups(RL, 16) == 8
    prefill = model_work(RL, "prefill", 16)
    assert prefill.tokens == 8 * 2 * 8
    # No logits are computed of a prompt.
    seen = 2 * 2 * 2 * (2 * 4) * 4.5
    assert prefill.flops == pytest.approx(128 * (DENSE - 2 * 512 + seen))


def test_a_published_model_needs_what_its_size_says():
    model = SIZES["Qwen2.5-7B"].config
    stage = dataclasses.replace(SFT, model=model, batch_rows=64, seq_len=65_536)
    flops = model_work(stage, "sft_update", 128).flops
    # 6 FLOPs a param and token but for the embedding table, and 3 x 4 x 28 layers x
    # 3584 for each of the 32,768 positions that a token sees.
    tokens = 64 * 65_536
    params = model.num_params - model.vocab_size * model.d_model
    expected = tokens * (6 * params + 12 * 28 * 3584 * 32_768)
    assert flops == pytest.approx(expected, rel=1e-4)


def test_a_program_takes_as_long_as_its_slowest_part():
    one = work(
        matmul_flops=1.97e12, hbm_bytes=16.38e9, collective_bytes={"all-gather": 2e9}
    )
    times = make_times(one, model_work(SFT, "sft_update", 4), V5E, 4)
    assert times.matmul == pytest.approx(0.01)  # of 197 TFLOP/s
    assert times.hbm == pytest.approx(0.02)  # at 819 GB/s
    assert times.links == pytest.approx(0.01)  # at 200 GB/s
    assert times.overlapped == pytest.approx(0.02)
    assert times.in_turn == pytest.approx(0.03)


def test_kernels_are_added_where_the_program_calls_them():
    needed = model_work(SFT, "sft_update", 4)
    with_kernels = make_times(
        work(num_kernels=6.0, compiler_secs=1.0), needed, V5E, num_devices=4
    )
    secs = needed.attention_flops / 4 / 197e12
    assert with_kernels.matmul == pytest.approx(secs)
    assert with_kernels.compiler == pytest.approx(1.0 + secs)
    assert with_kernels.busy == pytest.approx(1.0 + secs)


def test_utilisation_is_needed_over_possible_flops():
    assert mfu(197e12, 0.5, V5E, 4) == pytest.approx(0.5)


def test_a_supervised_step_is_its_one_program():
    times = Times(matmul=0.1, hbm=0.2, links=0.05, compiler=None)
    found = estimate_stage(
        SFT, {"sft_update": times}, chip=V5E, num_devices=4, completion_tokens=None
    )
    assert found.step_secs == pytest.approx((0.25, 0.2))
    assert found.trained_tokens_per_sec == pytest.approx((512 / 0.25, 512 / 0.2))


def test_a_step_of_rl_samples_and_then_updates():
    one = Times(matmul=1.0, hbm=0.0, links=0.0, compiler=None)
    names = ("prefill", "decode_chunk", "token_logprobs", "rl_gradients", "rl_apply")
    found = estimate_stage(
        RL, dict.fromkeys(names, one), chip=V5E, num_devices=16, completion_tokens=8
    )
    # 64 x 8 tokens by chunks of 4 steps of 32 slots: 4 chunks; one prefill; one scoring.
    # 512 tokens are 16 rows: 4 micro-batches of 4 rows, and one apply.
    assert found.sample_secs == (6.0, 6.0)
    assert found.step_secs == (11.0, 11.0)
    assert found.rollouts_per_sec == pytest.approx((64 / 11, 64 / 11))
    assert "take no room" in found.assumes
    # With prompts of 24 tokens 64 x (24 + 8) are 64 rows: 16 micro-batches. What is
    # trained on and what is sampled stay as they are.
    longer = estimate_stage(
        RL,
        dict.fromkeys(names, one),
        chip=V5E,
        num_devices=16,
        completion_tokens=8,
        prompt_tokens=24,
    )
    assert longer.sample_secs == (6.0, 6.0)
    assert longer.step_secs == (23.0, 23.0)
    assert longer.trained_tokens_per_sec == pytest.approx((512 / 23, 512 / 23))
    assert "64 completions of 8 tokens, after prompts of 24, every" in longer.assumes
    # Without groups each rollout has a prompt: 64 by calls of 2 rows in each of 8 parts.
    alone = dataclasses.replace(RL, prompts_per_step=64)
    found = estimate_stage(
        alone, dict.fromkeys(names, one), chip=V5E, num_devices=16, completion_tokens=8
    )
    assert found.sample_secs == (9.0, 9.0)
