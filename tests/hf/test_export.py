"""Exports as transformers sees them."""

import importlib.util
import json
import unicodedata

import numpy as np
import pytest
from safetensors.numpy import load_file

from simex.core.errors import UserError
from simex.hf import tokenizer_export, verify
from simex.hf.config_export import model_json
from simex.hf.export import DTYPES, export_hf, rounded
from simex.hf.families import family_of
from simex.hf.names import to_tensors
from simex.hf.shards import save_tensors
from simex.hf.verification import (
    _faults,
    find_characters_without_piece,
    reference_logits,
)
from simex.tokens.tokenizer import SentencePieceTokenizer

# A torch without sympy can be imported, but not used by transformers.
pytestmark = pytest.mark.slow  # transformers alone takes seconds to be imported
has_torch = all(importlib.util.find_spec(name) for name in ("torch", "sympy"))
needs_torch = pytest.mark.skipif(not has_torch, reason="torch is not installed")
# transformers and torch warn of matters of their own while they are imported.
foreign_warnings = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def exported(tokenizer, make_config, make_params, tmp_path_factory):
    """One whole export, verified in a process of its own: (folder, report, params)."""
    config = make_config()
    params = make_params(config)
    out = tmp_path_factory.mktemp("runs") / "export"
    report = export_hf(
        out,
        params,
        config=config,
        tokenizer=tokenizer.path,
        title="tiny",
        about="A test.",
        operative_config="train_sft.num_steps = 3  # ```",
        texts=["print(int(input()) * 7)\n"],
    )
    return out, report, params


def test_export_is_verified_and_says_what_was_compared(exported):
    out, report, _ = exported
    assert report == json.loads((out / "export_report.json").read_text())
    assert report["tokenizer_class"] == "TokenizersBackend"
    assert report["num_texts"] > 200 and report["num_chats"] == 3
    assert report["warnings"] == []
    if not has_torch:
        assert report["status"].startswith("ids verified; logits not verified: ")
        return
    assert report["status"] == "verified"
    assert report["model_class"] == "Qwen3ForCausalLM"
    assert report["num_positions"] == 2 * 48
    assert 0 < report["max_logit_difference"] <= 1e-5 * report["largest_logit"]
    assert report["num_characters_without_piece"] == 0  # it spells them in bytes


def test_export_holds_the_files_that_loaders_look_for(exported):
    out, _, _ = exported
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "export_report.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }
    assert [path.name for path in out.parent.iterdir()] == ["export"]  # no leftovers


def test_stored_tensors_are_the_params(exported):
    out, _, params = exported
    tensors = load_file(out / "model.safetensors")
    np.testing.assert_array_equal(
        tensors["model.layers.0.mlp.down_proj.weight"],
        params["layer_0"]["feed_forward"]["down"]["kernel"].T,
    )
    # Rows above the tokenizer's ids stay behind: nobody else would mask them.
    num_ids = SentencePieceTokenizer(out / "tokenizer.model").vocab_size
    assert num_ids < 480 == len(params["embedder"]["embedding"])
    np.testing.assert_array_equal(
        tensors["model.embed_tokens.weight"],
        params["embedder"]["embedding"][:num_ids],
    )
    assert json.loads((out / "config.json").read_text())["vocab_size"] == num_ids
    header = (out / "model.safetensors").read_bytes()[:2000]
    assert b'"format":"pt"' in header


def test_model_card_holds_the_operative_config_and_how_to_use_it(exported):
    card = (exported[0] / "README.md").read_text()
    assert "train_sft.num_steps = 3" in card
    assert "````" in card  # a fence longer than the one in the config
    assert "AutoTokenizer.from_pretrained" in card


@needs_torch
@foreign_warnings
@pytest.mark.parametrize(
    "changes,dtype",
    [
        ({"qk_norm": False, "tie_embeddings": False}, "float32"),
        ({"qk_norm": False, "qkv_bias": True}, "float32"),
        ({"tie_embeddings": False, "num_kv_heads": 4}, "bfloat16"),
    ],
)
def test_logits_of_every_family_equal_those_of_torch(
    make_config, make_params, tmp_path, changes, dtype
):
    config = make_config(**changes)
    tensors = to_tensors(make_params(config), config, dtype=DTYPES[dtype])
    save_tensors(tmp_path, tensors, max_shard_bytes=30_000)  # several shards
    family = family_of(config, is_sentencepiece=False)
    content = json.dumps(model_json(config, family, dtype=dtype))
    (tmp_path / "config.json").write_text(content)
    stored = rounded(make_params(config), dtype)
    tokens_BT, logits_BTV = reference_logits(stored, config, 450)
    found = verify.compare_logits(
        str(tmp_path), {"tokens": tokens_BT, "logits": logits_BTV}
    )
    assert found["model_class"] == family.architecture
    assert found["missing_tensors"] == found["unexpected_tensors"] == []
    assert found["max_logit_difference"] <= 1e-5 * np.abs(logits_BTV).max()
    assert (tmp_path / "model.safetensors.index.json").exists()


def test_a_difference_raises_and_leaves_the_earlier_export_alone(
    make_config, make_params, tokenizer, tmp_path, monkeypatch
):
    out = tmp_path / "export"
    out.mkdir()
    (out / "export_report.json").write_text("{}")
    monkeypatch.setattr(tokenizer_export, "merges", lambda model: [])
    config = make_config()
    with pytest.raises(UserError, match="texts differ in their ids.*Nothing was"):
        export_hf(
            out,
            make_params(config),
            config=config,
            tokenizer=tokenizer.path,
            title="tiny",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert [path.name for path in out.iterdir()] == ["export_report.json"]


def findings(**changes):
    agreement = {
        "num_texts": 9,
        "num_chats": 3,
        "num_id_differences": 0,
        "num_decode_differences": 0,
        "num_chat_differences": 0,
        "differences": [],
        "missing_tensors": [],
        "unexpected_tensors": [],
        "max_logit_difference": 9e-5,
        "largest_logit": 10.0,
    }
    return agreement | changes


def test_agreement_within_the_tolerance_is_no_fault():
    assert _faults(findings()) == []


@pytest.mark.parametrize(
    "changes,named",
    [
        ({"max_logit_difference": 1.1e-4}, "logits differ by up to 0.00011"),
        ({"largest_logit": 8.0}, "logits differ by up to 9e-05, more than 8e-05"),
        ({"max_logit_difference": float("nan")}, "logits differ"),
        ({"missing_tensors": ["lm_head.weight"]}, "missing tensors: lm_head.weight"),
        ({"unexpected_tensors": ["a", "b"]}, "unexpected tensors: a, b"),
        ({"num_chat_differences": 1, "differences": [{}]}, "1 of 3 chats differ"),
    ],
)
def test_each_kind_of_difference_is_a_fault(changes, named):
    assert named in _faults(findings(**changes))[0]


def round_a_kernel(tensors, content):
    name = "model.layers.1.mlp.down_proj.weight"
    tensors[name] = tensors[name].astype(DTYPES["bfloat16"]).astype(np.float32)


def change_rope(tensors, content):
    content["rope_theta"] = content["rope_parameters"]["rope_theta"] = 5100.0


def change_epsilon(tensors, content):
    content["rms_norm_eps"] *= 2


def swap_keys_and_values(tensors, content):
    key, value = (f"model.layers.0.self_attn.{x}_proj.weight" for x in "kv")
    tensors[key], tensors[value] = tensors[value], tensors[key]


@needs_torch
@foreign_warnings
@pytest.mark.parametrize(
    "spoil", [round_a_kernel, change_rope, change_epsilon, swap_keys_and_values]
)
def test_a_small_mistake_in_an_export_shows_in_its_logits(
    make_config, make_params, tmp_path, spoil
):
    config = make_config()
    params = make_params(config)
    tensors = dict(to_tensors(params, config, dtype=DTYPES["float32"]))
    content = model_json(config, family_of(config), dtype="float32")
    spoil(tensors, content)
    save_tensors(tmp_path, tensors)
    (tmp_path / "config.json").write_text(json.dumps(content))
    tokens_BT, logits_BTV = reference_logits(params, config, 450)
    found = verify.compare_logits(
        str(tmp_path), {"tokens": tokens_BT, "logits": logits_BTV}
    )
    assert "logits differ" in _faults(findings(**found))[0]


class Lossy:
    """Spells text in code points, some of which it has no id for."""

    def __init__(self, *, lacks=""):
        self.lacks = lacks

    def encode(self, text):
        return [ord(c) for c in text if c not in self.lacks]

    def decode(self, ids):
        return "".join(map(chr, ids))


def test_characters_without_a_piece_are_found_and_nothing_else_may_get_lost():
    texts = ["abc", "a\x04b\x06", "\x04"]
    lacks = Lossy(lacks="\x04\x06")
    assert find_characters_without_piece(lacks, texts) == {"\x04", "\x06"}
    composes = Lossy()
    composes.encode = lambda text: [ord(c) for c in unicodedata.normalize("NFC", text)]
    assert find_characters_without_piece(composes, ["e\u0301"]) == frozenset()
    doubles = Lossy()
    doubles.encode = lambda text: [ord(c) for c in text.replace("  ", " ")]
    with pytest.raises(UserError, match="'a  b' becomes 'a b'"):
        find_characters_without_piece(doubles, ["x", "a  b"])


def export_into(out, make_config, make_params, path, *, config=None, **options):
    config = make_config(**config or {})
    params = make_params(config)
    export_hf(out, params, config=config, tokenizer=path, title="tiny", **options)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"config": {"vocab_size": 300}}, "300 for "),
        ({"config": {"qk_norm": False, "qkv_bias": True}}, "Qwen2"),
        ({"dtype": "float64"}, "float32, bfloat16; got 'float64'"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_nothing_written(
    tmp_path, make_config, make_params, tokenizer, changes, message
):
    with pytest.raises(UserError, match=message):
        export_into(tmp_path / "x", make_config, make_params, tokenizer.path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_export_is_never_replaced(
    tmp_path, make_config, make_params, tokenizer
):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="something else"):
        export_into(tmp_path, make_config, make_params, tokenizer.path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_missing_tokenizer_is_named(tmp_path, make_config, make_params):
    missing = tmp_path / "none.model"
    with pytest.raises(UserError, match="none.model"):
        export_into(tmp_path / "x", make_config, make_params, missing)
