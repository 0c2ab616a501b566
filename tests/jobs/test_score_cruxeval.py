"""CRUXEval by one of our checkpoints: whose words are scored, and how."""

import json

import pytest

from simex.core.files import read_jsonl, write_jsonl
from simex.hf.description import Description, save_description
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.score_cruxeval import report_cruxeval, score_cruxeval
from simex.jobs.setup import SamplerShape
from simex.models.config import ModelConfig
from simex.tokens.saved import save_tokenizer
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.checkpoint import Checkpoints
from tests.jobs.one_word import params_that_say

LOSS = "validation/loss"  # less is better
ITEMS = [
    {"id": "sample_0", "code": "def f(x):\n    return x", "input": "7", "output": "7"},
    {"id": "sample_1", "code": "def f(x):\n    return 8", "input": "1", "output": "8"},
]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The best of two checkpoints says 7, the newest says 8."""
    folder = tmp_path_factory.mktemp("run")
    model = folder / "import_model" / "model"
    (model / "tokenizer").mkdir(parents=True)
    tokenizer = train_sentencepiece(
        [f"assert f({i}) == {i + 7}\n" for i in range(200)],
        folder / "tokenizer.model",
        vocab_size=400,
        symbols=(),
    )
    save_tokenizer(tokenizer, model / "tokenizer")
    config = ModelConfig(
        vocab_size=448, num_ids=tokenizer.vocab_size, d_model=16, num_layers=1,
        num_query_heads=2, num_kv_heads=1, head_dim=8, d_ff=24,
    )  # fmt: skip
    save_description(model, Description(config=config, stop_ids=(tokenizer.end_id,)))
    checkpoints = Checkpoints(model / "checkpoints", best_metric=LOSS)
    for step, digit in enumerate("78"):
        params = params_that_say(tokenizer.encode(digit)[-1], config)
        checkpoints.save(step, {"state.params": params}, metrics={LOSS: float(step)})
    checkpoints.close()
    write_jsonl(folder / "items.jsonl", ITEMS)
    return folder


@pytest.mark.slow
def test_the_newest_or_the_best_checkpoint_answers(workdir):
    for stage, model in (("newest", "import_model"), ("best", "import_model@best")):
        (workdir / stage).mkdir()
        score_cruxeval(
            workdir,
            workdir / stage,
            model=model,
            styles={"direct": 1},
            path=str(workdir / "items.jsonl"),
            max_prompt_len=200,
            sampler=SamplerShape(num_slots=8, prefill_rows=8),
            sandbox=SandboxConfig(num_workers=1),
        )
    # 7 is right for the first item and 8 for the second.
    found = {
        stage: [
            (record["said"], record["is_right"], record["is_strictly_right"])
            for record in read_jsonl(workdir / stage / "direct.jsonl")
        ]
        for stage in ("newest", "best")
    }
    assert found == {
        "newest": [("8", False, False), ("8", True, True)],
        "best": [("7", True, True), ("7", False, False)],
    }


def test_a_gain_is_what_comes_after_minus_what_was_before(tmp_path):
    def scored(right, strictly):
        return [
            {
                "id": str(i), "group": str(i), "is_right": i in right,
                "is_strictly_right": i in strictly,
            }
            for i in range(4)
        ]  # fmt: skip

    write_jsonl(tmp_path / "sft" / "direct.jsonl", scored({0}, set()))
    write_jsonl(tmp_path / "rl" / "explain.jsonl", scored({0, 1, 2}, {0, 1}))
    report_cruxeval(tmp_path, tmp_path, before="sft/direct", after=["rl/explain"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name: found["value"] for name, found in results.items()} == {
        "official.sft/direct": 0.25,
        "official.rl/explain": 0.75,
        "strict.sft/direct": 0.0,
        "strict.rl/explain": 0.5,
        "gain.rl/explain": 0.5,  # 3/4 - 1/4
    }
