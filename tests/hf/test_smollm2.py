"""SmolLM2-135M-Instruct here and in transformers: the same logits, the same words."""

import ast
import importlib.util
import json
import os
import pathlib

import jax
import numpy as np
import pytest

from simex.hf.config_import import parse_model_json
from simex.hf.params_import import check_tensors, load_params_sharded
from simex.hf.tensor_files import find_tensors
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.saved import load_tokenizer
from tests.hf.greedy import assert_same_greedy
from tests.hf.test_parity import our_logits

ROOT = pathlib.Path(__file__).parents[2]
MODEL = pathlib.Path(
    os.environ.get("SIMEX_SMOLLM2", ROOT / "models/SmolLM2-135M-Instruct")
)
FUNCTIONS = ROOT.parent / "shared/data/public/functions_doctest.jsonl"
has_torch = all(importlib.util.find_spec(n) for n in ("torch", "transformers"))
pytestmark = [
    pytest.mark.long,  # half a billion bytes, twice
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not has_torch, reason="torch is not installed"),
    pytest.mark.skipif(
        not (MODEL / "config.json").exists(), reason="launch/smollm2 was not called"
    ),
    pytest.mark.skipif(not FUNCTIONS.exists(), reason="no shared data"),
]
NUM_PROGRAMS = 20


@pytest.fixture(scope="module")
def pair():
    """(torch's model, config, params, ids of 20 programs of 300 to 1,000 tokens)."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=torch.float32
    ).eval()
    config = parse_model_json(json.loads((MODEL / "config.json").read_text()))
    tensors = find_tensors(MODEL)
    check_tensors(tensors, config)
    mesh = make_mesh(MeshConfig(data=1), devices=jax.devices()[:1])
    params = load_params_sharded(tensors, config, mesh)
    return model, config, params, mesh, list(_programs(load_tokenizer(MODEL)))


def _programs(tokenizer):
    seen = set()
    with FUNCTIONS.open() as file:
        for line in file:
            source = json.loads(line)["source"]
            ids = tokenizer.encode(source)
            if source not in seen and 300 <= len(ids) <= 1000:
                ast.parse(source)  # a program, not a fragment
                seen.add(source)
                yield ids
            if len(seen) == NUM_PROGRAMS:
                return


def test_logits_on_real_programs_are_within_a_thousandth(pair):
    import torch

    model, config, params, _, programs = pair
    assert len(programs) == NUM_PROGRAMS
    worst = largest = 0.0
    for ids in programs:
        width = -len(ids) % 256 + len(ids)  # few shapes, hence few compilations
        tokens, segments = np.zeros((2, 1, width), np.int32)
        tokens[0, : len(ids)], segments[0, : len(ids)] = ids, 1
        ours = our_logits(config, params, tokens, segments, np.arange(width)[None])
        with torch.inference_mode():
            theirs = model(input_ids=torch.tensor([ids])).logits.numpy()
        worst = max(worst, np.abs(np.asarray(ours)[0, : len(ids)] - theirs[0]).max())
        largest = max(largest, np.abs(theirs).max())
    lengths = sorted(map(len, programs))
    print(
        f"{len(programs)} programs of {lengths[0]} to {lengths[-1]} tokens, logits up to "
        f"{largest:.3g}: largest difference {worst:.2g}"
    )
    assert worst <= 1e-3


def test_greedy_continuations_are_identical(pair):
    model, config, params, mesh, programs = pair
    assert_same_greedy(model, config, params, programs, mesh=mesh)
