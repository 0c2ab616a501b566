"""A model of others comes in, is fine-tuned, and its best checkpoint goes out."""

import importlib.util
import json

import pytest
from safetensors.numpy import load_file

from simex.core.files import read_jsonl, write_jsonl
from simex.data.builder import build_dataset
from simex.hf.description import load_description
from simex.hf.import_model import import_hf
from simex.jobs.finetune import finetune
from simex.jobs.held_out import HeldOutExamples
from simex.jobs.import_model import export_model, import_model
from simex.models.rope import RopeScaling
from simex.sharding.mesh import MeshConfig
from tests.data.conftest import make_examples
from tests.hf.torch_models import make_torch_model, read_config
from tests.tokens.byte_level import train_byte_level

has_torch = all(importlib.util.find_spec(n) for n in ("torch", "transformers"))
pytestmark = [
    pytest.mark.slow,  # transformers alone takes seconds to be imported
    pytest.mark.skipif(not has_torch, reason="torch is not installed"),
    pytest.mark.filterwarnings("default"),  # they warn of matters of their own
]
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a hub would have: a random Qwen3 with its tokenizer and its habits."""
    folder = tmp_path_factory.mktemp("hub")
    make_torch_model("qwen3", folder)
    texts = [e.prompt + e.target for e in make_examples("train", 20)]
    train_byte_level(texts).save(str(folder / "tokenizer.json"))
    for name, content in (
        ("tokenizer_config.json", {"bos_token": {"content": "<|endoftext|>"}}),
        ("generation_config.json", SAMPLING | {"eos_token_id": [2, 0]}),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def workdir(source, tmp_path_factory):
    """A run that imported it, learned two steps in scanned layers, and exported."""
    workdir = tmp_path_factory.mktemp("run")
    stages = {}
    for name in ("import_model", "finetune", "export_model"):
        stages[name] = workdir / name
        stages[name].mkdir()
    splits = {s: make_examples(s, n) for s, n in (("train", 8), ("validation", 2))}
    build_dataset(splits, workdir / "examples")
    reasoned = {"id": "r", "task": "reasoning", "prompt": "1 + 1?", "target": "2"}
    write_jsonl(workdir / "reasoned.jsonl", [reasoned])
    import_model(workdir, stages["import_model"], source=str(source))
    finetune(
        workdir,
        stages["finetune"],
        model="import_model",
        dataset="examples",
        seed=0,
        num_steps=2,
        batch_rows=4,
        seq_len=128,
        learning_rate=1e-3,
        warmup_steps=1,
        scan_layers=True,
        rope_scaling=RopeScaling(kind="yarn", factor=2.0, original_max_positions=1024),
        mesh=MeshConfig(data=2, fsdp=2, tensor=2),
        more_examples=[str(workdir / "reasoned.jsonl")],
        steps_between_saves=1,
        validation=HeldOutExamples(steps_between=1, keep_best="validation/loss"),
    )
    export_model(
        workdir, stages["export_model"], model="finetune@best", dtype="float32"
    )
    return workdir


def test_the_best_checkpoint_of_a_finetuned_import_is_exported(workdir):
    report = json.loads((workdir / "export_model/model/export_report.json").read_text())
    assert (report["status"], report["model_class"]) == ("verified", "Qwen3ForCausalLM")
    assert report["warnings"] == []
    config = read_config(workdir / "export_model/model")
    assert config["max_position_embeddings"] == 2 * 1024  # rows were of 128
    assert config["rope_parameters"]["rope_type"] == "yarn"
    assert config["vocab_size"] == 512  # as others know it, padding included
    losses = [
        line["validation/loss"]
        for line in read_jsonl(workdir / "finetune/metrics.jsonl")
        if "validation/loss" in line
    ]
    assert len(losses) >= 2 and min(losses) == losses[-1]


def test_examples_from_elsewhere_are_learned_beside_the_dataset(workdir):
    lengths = (workdir / "finetune/lengths.txt").read_text()
    assert "reasoning: 1 examples, 0 longer than 128" in lengths


def test_what_others_said_of_the_model_is_said_again(workdir):
    out = workdir / "export_model/model"
    said = json.loads((out / "generation_config.json").read_text())
    # The chat's end first, then those of the import; 1 is bos_token_id of config.json.
    ids = {"eos_token_id": [2, 0], "pad_token_id": 0, "bos_token_id": 1}
    assert said == SAMPLING | ids
    assert read_config(out)["bos_token_id"] == 1
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert settings["bos_token"] == "<|endoftext|>"
    report = json.loads((out / "export_report.json").read_text())
    assert report["chat_template"] == "simex's, in place of any that the model had"
    assert "was replaced" in (out / "README.md").read_text()


def test_an_export_can_be_imported_again(workdir, tmp_path):
    again = import_hf(workdir / "export_model/model", tmp_path / "again")
    before = load_description(workdir / "finetune")
    assert again.stop_ids == before.stop_ids and again.origin == before.origin
    assert again.config.max_positions == before.config.max_positions == 2048
    assert again.config.num_ids == before.config.num_ids < 320
    tensors = load_file(workdir / "export_model/model/model.safetensors")
    assert tensors["model.embed_tokens.weight"].shape == (512, 64)
