"""Hugging Face folders in: what fits is byte-equal, what does not is refused."""

import dataclasses
import importlib.util
import json
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from simex.core.errors import UserError
from simex.hf.config_export import model_json
from simex.hf.config_import import parse_model_json
from simex.hf.description import Origin, load_description
from simex.hf.export import export_checkpoint
from simex.hf.families import FAMILIES, family_of
from simex.hf.import_model import import_hf
from simex.hf.names import EMBEDDING, HEAD, to_tensors
from simex.hf.shards import save_tensors
from simex.hf.tensor_files import INDEX, find_tensors
from simex.hf.tokenizer_files import chat_template
from simex.models.config import ExpertsConfig
from simex.models.rope import RopeScaling
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.chat_pieces import ChatPieces
from simex.tokens.saved import load_tokenizer, save_tokenizer
from simex.train.saved_params import load_params

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SHAPES = {
    "llama": {"qk_norm": False, "tie_embeddings": False},
    "llama, all biases": {
        "qk_norm": False,
        "qkv_bias": True,
        "o_bias": True,
        "mlp_bias": True,
        "rope_scaling": RopeScaling(
            kind="llama3", factor=8.0, original_max_positions=32
        ),
    },
    "qwen2": {
        "qk_norm": False,
        "qkv_bias": True,
        "rope_scaling": RopeScaling(
            kind="yarn", factor=2.0, original_max_positions=24, truncate=False
        ),
        "windows": (None, 8),
    },
    "qwen3": {"rope_scaling": RopeScaling(kind="linear", factor=2.0)},
    "qwen3 moe": {
        "experts": ExpertsConfig(
            num_experts=3, num_per_token=2, d_ff=16, dense_layers=(1,)
        )
    },
    "cwm": {"qk_norm": False, "windows": (None, 8)},
    "dynamic": {
        "rope_scaling": RopeScaling(
            kind="dynamic", factor=2.0, original_max_positions=48
        )
    },
}


def write_folder(folder, config, params, tokenizer, *, dtype=BFLOAT16, shard=20_000):
    """A checkpoint as others write it; returns the tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = to_tensors(params, config, dtype=dtype)
    save_tensors(folder, tensors, max_shard_bytes=shard)
    family = family_of(config, is_sentencepiece=False)
    content = model_json(config, family, dtype="bfloat16")
    (folder / "config.json").write_text(json.dumps(content))
    save_tokenizer(tokenizer, folder)
    return tensors


@pytest.mark.parametrize("name", SHAPES)
def test_a_config_survives_export_and_import(make_config, name):
    config = make_config(**SHAPES[name])
    family = family_of(config, is_sentencepiece=False)
    content = model_json(config, family, dtype="float32")
    if config.rope_scaling.kind == "yarn":  # the factor that None means is written out
        scaling = {**vars(config.rope_scaling)}
        scaling["attention_factor"] = config.rope_scaling.amplitude
        config = make_config(**SHAPES[name] | {"rope_scaling": RopeScaling(**scaling)})
    assert parse_model_json(content) == config


def test_a_dynamic_rope_that_starts_before_the_last_position_is_refused(make_config):
    scaling = RopeScaling(kind="dynamic", factor=2.0, original_max_positions=48)
    longer = make_config(rope_scaling=scaling, max_positions=96)
    with pytest.raises(UserError, match="starts at 48 of 96 positions"):
        family_of(longer)


def test_an_older_config_means_the_same(make_config):
    config = make_config(**SHAPES["llama, all biases"])
    content = model_json(config, family_of(config), dtype="float32")
    del content["rope_parameters"]
    content["rope_scaling"]["type"] = content["rope_scaling"].pop("rope_type")
    assert parse_model_json(content) == config


@pytest.fixture
def folder(tmp_path, make_config, make_params, tokenizer):
    config = make_config(qk_norm=False, tie_embeddings=False)
    source = tmp_path / "source"
    write_folder(source, config, make_params(config), tokenizer)
    return source


@pytest.mark.parametrize("name", ["llama", "qwen3 moe"])
def test_every_tensor_comes_back_byte_for_byte(
    tmp_path, make_config, make_params, tokenizer, name
):
    config = make_config(**SHAPES[name])
    source = tmp_path / "source"
    tensors = write_folder(source, config, make_params(config), tokenizer)
    assert (source / INDEX).exists()
    mesh = make_mesh(MeshConfig(data=1, fsdp=4, tensor=2))
    description = import_hf(source, tmp_path / "imported", mesh=mesh)
    assert description == load_description(tmp_path / "imported")
    # The embedding is padded: rows above the tokenizer's ids are never sampled.
    assert tokenizer.vocab_size < config.vocab_size
    known = dataclasses.replace(config, num_ids=tokenizer.vocab_size)
    assert description.config == known
    params = load_params(tmp_path / "imported" / "checkpoints", config, mesh=mesh)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    again = to_tensors(params, config, dtype=BFLOAT16)
    assert set(again) == set(tensors)
    for key, tensor in tensors.items():
        assert again[key].tobytes() == tensor.tobytes(), key
    found = load_tokenizer(tmp_path / "imported" / "tokenizer")
    assert found.fingerprint == tokenizer.fingerprint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["imported", "source"]


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("transformers"), reason="needs transformers"
)
@pytest.mark.filterwarnings("default")
def test_export_of_an_import_is_the_import_without_padding(folder, tmp_path, tokenizer):
    import_hf(folder, tmp_path / "imported")
    report = export_checkpoint(tmp_path / "imported", tmp_path / "exported")
    assert report["warnings"] == []
    before = find_tensors(folder)
    after = load_file(tmp_path / "exported" / "model.safetensors")
    assert set(before) == set(after)
    num_ids = tokenizer.vocab_size
    for name, tensor in before.items():
        kept = slice(num_ids if name in (EMBEDDING, HEAD) else None)
        assert tensor.read()[kept].tobytes() == after[name].tobytes(), name
    again = import_hf(tmp_path / "exported", tmp_path / "again").config
    assert (again.vocab_size, again.num_ids) == (num_ids, num_ids)


def test_an_import_remembers_what_its_files_say_to_others(folder, tmp_path):
    change_config(folder, bos_token_id=9_999)  # no id
    assert import_hf(folder, tmp_path / "a").origin == Origin()
    change_config(folder, bos_token_id=3)
    (folder / "tokenizer_config.json").write_text('{"bos_token": "<|user|>"}')
    generation = {"temperature": 0.6, "top_k": 40, "max_length": 99, "min_p": None}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    origin = Origin(
        bos_token="<|user|>", bos_id=3, sampling={"temperature": 0.6, "top_k": 40}
    )
    assert import_hf(folder, tmp_path / "b").origin == origin
    path = tmp_path / "b" / "model.json"
    assert load_description(path.parent).origin == origin
    content = json.loads(path.read_text())
    del content["origin"]  # as before there were any
    path.write_text(json.dumps(content))
    assert load_description(path.parent).origin == Origin()


def change_config(folder, **changes):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | changes))


def change_tensors(folder, change):
    """Rewrites all tensors as one file after `change`."""
    tensors = {name: t.read() for name, t in find_tensors(folder).items()}
    change(tensors)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    save_file(tensors, folder / "model.safetensors")


def cut_a_shard(folder):
    path = sorted(folder.glob("model-*.safetensors"))[1]
    path.write_bytes(path.read_bytes()[:-7])


NORM = "model.norm.weight"
BAD = {
    "an unknown architecture": (
        lambda f: change_config(f, architectures=["GPT2LMHeadModel"]),
        "one of LlamaForCausalLM.*got GPT2LMHeadModel",
    ),
    "an unknown RoPE type": (
        lambda f: change_config(f, rope_parameters={"rope_type": "longrope"}),
        "no RoPE type 'longrope'.*yarn",
    ),
    "two RoPE scalings": (
        lambda f: change_config(
            f,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4},
            rope_scaling={"type": "yarn", "factor": 4.0},
        ),
        "must scale RoPE in one way",
    ),
    "another activation": (
        lambda f: change_config(f, hidden_act="gelu"),
        "hidden_act=silu only.*'gelu'",
    ),
    "quantised weights": (
        lambda f: change_config(f, quantization_config={"bits": 4}),
        "quantization_config",
    ),
    "a number that is missing": (
        lambda f: change_config(f, hidden_size=None),
        "'hidden_size'; got None",
    ),
    "another width": (
        lambda f: change_config(f, intermediate_size=64),
        r"layers.0.mlp.gate_proj.weight of shape \(48, 32\), not \(64, 32\)",
    ),
    "a missing tensor": (
        lambda f: change_tensors(f, lambda tensors: tensors.pop(NORM)),
        "no model.norm.weight",
    ),
    "an extra tensor": (
        lambda f: change_tensors(
            f, lambda tensors: tensors.update({"adapter.weight": np.zeros(3, "f4")})
        ),
        "adapter.weight, which such a model does not have",
    ),
    "a tied head that is not": (
        lambda f: change_config(f, tie_word_embeddings=True),
        "lm_head.weight other than model.embed_tokens.weight",
    ),
    "a truncated shard": (cut_a_shard, r"00002-of.*truncated: .* end at byte \d+"),
    "a missing shard": (
        lambda f: min(f.glob("model-*")).unlink(),
        "names the shard model-00001",
    ),
    "fewer embeddings than pieces": (
        lambda f: (
            change_config(f, vocab_size=300),
            change_tensors(f, cut_vocabulary),
        ),
        "it has 300 for 4",
    ),
    "a qwen2 with a sentencepiece": (
        lambda f: (
            change_config(f, architectures=["Qwen2ForCausalLM"]),
            change_tensors(f, add_biases),
        ),
        "qwen2 cannot have a sentencepiece tokenizer",
    ),
    "no tokenizer": (
        lambda f: (f / "tokenizer.model").unlink(),
        "must hold tokenizer.json",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), "must hold config.json"),
    "no tensors": (
        lambda f: [path.unlink() for path in f.glob("model*")],
        "it has neither",
    ),
}


def cut_vocabulary(tensors):
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors[name][:300].copy()


def add_biases(tensors):
    for layer in range(2):
        for name, size in (("q", 64), ("k", 32), ("v", 32)):
            key = f"model.layers.{layer}.self_attn.{name}_proj.bias"
            tensors[key] = np.zeros(size, np.float32)


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_by_name_and_nothing_written(
    folder, tmp_path, name
):
    spoil, message = BAD[name]
    spoil(folder)
    with pytest.raises(UserError, match=message):
        import_hf(folder, tmp_path / "imported")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_an_import_replaces_an_earlier_import_and_nothing_else(folder, tmp_path):
    import_hf(folder, tmp_path / "imported")
    shutil.copytree(folder, tmp_path / "renamed")
    (tmp_path / "imported" / "left.txt").write_text("of the earlier one")
    import_hf(tmp_path / "renamed", tmp_path / "imported")
    assert load_description(tmp_path / "imported").title == "renamed"
    assert not (tmp_path / "imported" / "left.txt").exists()
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="something else"):
        import_hf(folder, other)
    assert (other / "thesis.tex").exists()
    # A stage that trained has model.json, too.
    (tmp_path / "imported" / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="holds a model that was trained"):
        import_hf(folder, tmp_path / "imported")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"source", "renamed", "imported", "thesis"}  # no leftovers


def test_pieces_may_hold_the_words_of_the_template():
    pieces = ChatPieces(
        pad="<|pad|>", user="<|USER|>", assistant="<|END|><|BOT|>", end="<|END_OF|>"
    )
    text = chat_template(pieces)
    assert '{{ "<|END|><|BOT|>" }}' in text
    assert "{{ message['content'] + \"<|END_OF|>\" }}" in text


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.model_type)
def test_a_silent_config_means_what_transformers_means(family):
    theirs = pytest.importorskip("transformers").AutoConfig.for_model(family.model_type)
    assert family.default_norm_eps == theirs.rms_norm_eps
    assert family.default_positions == theirs.max_position_embeddings


def test_the_families_are_those_that_are_promised():
    assert set(FAMILIES) == {
        f"{name}ForCausalLM" for name in ("Llama", "Qwen2", "Qwen3", "Qwen3Moe", "Cwm")
    }
