"""Plans by the real compiler of TPUs, where libtpu is installed (launch/local libtpu)."""

import json

import pytest

from simex.main import main
from simex.plans.topology import has_libtpu

pytestmark = pytest.mark.skipif(
    not has_libtpu(), reason="libtpu is not installed: launch/local libtpu"
)
GIB = 2**30
RL_7B = "experiments/paper/rl_7b.gin"


def plan(capsys, experiment, topology, *words, code=0):
    """The JSON of a plan, its programs by name."""
    assert main(["plan", experiment, "--topology", topology, "--json", *words]) == code
    content = json.loads(capsys.readouterr().out)
    return content, {p["program"]: p for p in content["programs"]}


@pytest.mark.slow
def test_a_small_model_on_v5e(capsys):
    words = ["--only", "train_rl:token_logprobs"]
    content, found = plan(capsys, "experiments/paper/small_v5e.gin", "v5e:4x4", *words)
    program = found["token_logprobs"]
    work, seconds = program["work"], program["seconds"]
    # 28 layers in a loop, with one attention kernel each.
    assert work["num_kernels"] == 28
    # 16 rows of 8192 on 16 devices; the kernel's work is in no matrix product. A
    # 1.5B model has 1.54e9 params, all of them in products (the embedding as the head).
    products = 2 * 1.5437e9 * 8192
    assert work["matmul_flops"] == pytest.approx(products, rel=0.01)
    assert work["once_flops"] < products / 4  # what the correction is for
    assert program["model_flops"] / 16 > products
    assert seconds["compiler"] > seconds["matmul"] > 0
    assert 0.2 < program["mfu_range"][0] <= program["mfu_range"][1] < 1
    assert content["fits"] and program["memory"]["total"] < 15.75 * GIB


@pytest.mark.slow
def test_7b_decodes_and_updates_on_v5p(capsys):
    only = ["decode_chunk", "rl_apply"]
    words = [word for name in only for word in ("--only", f"train_rl:{name}")]
    content, found = plan(capsys, RL_7B, "v5p:4x4x8", *words)
    assert content["num_devices"] == 128 and content["fits"]
    decode, apply = (found[name]["memory"] for name in only)
    # Two slots a device of 65,568 positions, rounded up to whole chunks: keys and values
    # of 4 heads of 128 in 28 layers, two bytes each.
    cache = 2 * 65_568 * 2 * 4 * 128 * 28 * 2
    assert decode["arguments"]["kv cache"] == pytest.approx(cache, rel=1e-3)
    # float32 params and two moments: kernels in 128 parts; 57 norms of 3,584 and the
    # biases of q, k and v (3,584 + 512 + 512 in 28 layers) whole on every device.
    whole = 57 * 3584 + 28 * (3584 + 512 + 512)
    part = 4 * ((7_615_616_512 - whole) // 128 + whole)
    assert apply["arguments"]["params"] == part
    assert apply["arguments"]["optimizer"] == pytest.approx(2 * part, rel=1e-6)
    assert content["search"]["smallest"] and not content["search"]["is_compiled"]


@pytest.mark.slow
def test_what_does_not_fit_is_refused_with_numbers_and_no_traceback(capsys):
    words = ["--only", "train_rl:rl_apply", "--set", "rl/MeshConfig.sequence=1"]
    content, found = plan(capsys, RL_7B, "v5e:2x2", *words, code=2)
    refusal = found["rl_apply"]["refusal"]
    # Params, moments and gradients, 16 bytes a param, are 28.4 GiB on each of 4 devices.
    assert refusal["needed_bytes"] > 28 * GIB
    assert refusal["available_bytes"] == round(15.75 * GIB)
    assert refusal["reason"].startswith("needs ")
    assert not content["fits"] and content["stages"] == []


@pytest.mark.long
def test_the_updates_of_7b_fit_and_use_half_of_the_chips(capsys):
    content, found = plan(
        capsys,
        RL_7B,
        "v5p:4x4x8",
        "--only",
        "train_rl:rl_gradients",
        "--only",
        "finetune",
    )
    assert content["fits"]
    # Longer rows once left partial gradients of 28 GiB.
    assert found["sft_update"]["memory"]["total"] < 45 * GIB
    assert found["rl_gradients"]["memory"]["total"] < 20 * GIB
    assert found["sft_update"]["mfu_range"][0] > 0.45
    assert found["rl_gradients"]["mfu_range"][0] > 0.4
