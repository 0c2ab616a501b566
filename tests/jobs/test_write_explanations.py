"""The job that tells traces: by a language model, ours or another's, stopped midway."""

import collections
import json

import jax
import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_jsonl
from simex.hf.description import Description, save_description
from simex.jobs.checkpoint_teller import CheckpointTeller
from simex.jobs.setup import DecoderShape, SamplerShape, Setup
from simex.jobs.write_explanations import write_explanations
from simex.models.transformer import init_params
from simex.nlex.completion import CompletionFailure
from simex.nlex.completion.endpoint import Endpoint
from simex.nlex.layout import LAYOUT_SYMBOLS
from simex.tokens.saved import save_tokenizer
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.traces.records import to_record
from simex.train.saved_params import save_params
from tests.jobs.one_word import params_that_say
from tests.nlex.conftest import trace_of  # noqa: F401  (a fixture)
from tests.nlex.test_llm import Server

ANSWER = {
    "choices": [{"message": {"content": "t becomes 4.\nOutput: '4'"}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10},
}
GOOD = json.dumps(ANSWER).encode()
SHAPE = DecoderShape(
    d_model=16, num_layers=1, num_query_heads=2, num_kv_heads=1, head_dim=8,
    d_ff=32, max_positions=1024,
)  # fmt: skip


def make_tokenizer(path):
    texts = [f"t becomes {i}.\nOutput: '{i}'\nprint(t)" for i in range(60)]
    return train_sentencepiece(texts, path, vocab_size=400, symbols=LAYOUT_SYMBOLS)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def workdir(tmp_path, trace_of):  # noqa: F811
    """A run with six traces; their prompts differ by a comment."""
    records = []
    for number in range(6):
        trace = trace_of(f"t = 4  # {number}\nprint(t)\n")
        record = {"id": str(number), "role": "right", "origin": "contests"}
        records.append(record | {"trace": to_record(trace)})
    write_jsonl(tmp_path / "trace_programs" / "imported.jsonl", records)
    return tmp_path


def test_an_endpoint_that_goes_down_costs_nothing_that_is_not_asked_again(
    workdir, server, capsys
):
    endpoint = Endpoint(
        url=server.url,
        model="m",
        num_parallel=1,
        max_attempts=1,
        max_failures_in_row=2,
        price_per_million_prompt_tokens=2.0,
        price_per_million_completion_tokens=10.0,
    )
    server.script = [GOOD, (500, {}), GOOD] + [(500, {})] * 99
    with pytest.raises(UserError, match="gave up on 2 prompts in a row"):
        write_explanations(
            workdir, workdir / "write_explanations", style="llm", endpoint=endpoint
        )
    server.script = [GOOD] * 6
    write_explanations(
        workdir, workdir / "write_explanations", style="llm", endpoint=endpoint
    )
    folder = workdir / "write_explanations"
    records = list(read_jsonl(folder / "explanations.jsonl"))
    # The one failure between two answers is a fault of its prompt as far as one knows.
    assert [r.get("thought") or r["dropped"] for r in records] == [
        "t becomes 4.",
        "no completion: status 500",
        *["t becomes 4."] * 4,
    ]
    asked = collections.Counter(r["messages"][0]["content"] for r in server.requests)
    # In the order in which they were asked first: those with an answer, only once.
    assert list(asked.values())[:3] == [1, 1, 1] and min(list(asked.values())[3:5]) > 1
    report = json.loads((folder / "report.json").read_text())
    assert report == {
        "contests: kept": 5,
        "contests: no completion: status 500": 1,
    }
    # Five answers were paid for, in two attempts: 500 tokens at 2, 50 at 10 a million.
    cost = json.loads((folder / "cost.json").read_text())
    assert cost["num_prompt_tokens"] == 500 and cost["num_completion_tokens"] == 50
    assert cost["price"] == pytest.approx(0.0015)
    assert "500 prompt and 50 completion tokens" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_tells_through_our_own_sampler(workdir, tmp_path, capsys):
    folder = workdir / "finetune"
    tokenizer = make_tokenizer(tmp_path / "t.model")
    config = SHAPE.fit(tokenizer.vocab_size)
    save_params(folder / "checkpoints", init_params(config, jax.random.key(0)))
    save_description(folder, Description(config=config, stop_ids=(tokenizer.end_id,)))
    (folder / "tokenizer").mkdir()
    save_tokenizer(tokenizer, folder / "tokenizer")
    teller = CheckpointTeller(
        model="finetune",
        max_prompt_len=900,
        max_new_tokens=6,
        batch_size=4,
        sampler=SamplerShape(num_slots=8, chunk_steps=2, prefill_rows=2),
    )
    write_explanations(
        workdir, workdir / "write_explanations", style="llm", checkpoint=teller
    )
    records = list(read_jsonl(workdir / "write_explanations" / "explanations.jsonl"))
    # No weight is trained: what is said is nonsense, and each has its reason.
    assert len(records) == 6
    reasons = {record["dropped"] for record in records}
    assert reasons <= {
        "no completion: the answer does not end",
        "it does not end with an output",
    }
    short = CheckpointTeller(model="finetune", max_prompt_len=9, max_new_tokens=6)
    (result,) = short.make_completer(workdir).complete_all(["word " * 99])
    assert "longer than the model takes" in result.reason


@pytest.mark.slow
def test_a_model_that_the_run_trained_tells_with_its_own_setup(workdir, tmp_path):
    """It says "t" for ever, as many times as it may; that is seen in what it answers."""
    (tmp_path / "train_tokenizer").mkdir()
    make_tokenizer(tmp_path / "train_tokenizer" / "tokenizer.model")
    setup = Setup(
        decoder=SHAPE,
        sampler=SamplerShape(num_slots=8, chunk_steps=2, prefill_rows=2),
        max_new_tokens=3,
    )
    config, tokenizer = setup.load_model(workdir), setup.load_tokenizer(workdir)
    (word,) = tokenizer.encode("t")[-1:]
    params = params_that_say(word, config)
    save_params(workdir / "nlex" / "train_sft" / "checkpoints", params)
    teller = CheckpointTeller(model="nlex/train_sft", setup=setup, batch_size=4)
    completer = teller.make_completer(workdir)
    (result,) = completer.complete_all(["tell this"])
    policy = teller._make_policy(workdir)
    (turn,) = policy.complete([teller._make_query("tell this")])
    assert result == CompletionFailure(
        reason="the answer does not end",
        is_of_prompt=True,
        num_prompt_tokens=len(turn.prompt_ids),
        num_completion_tokens=3,
    )
    assert turn.completion_ids == (word,) * 3  # Setup.max_new_tokens
    write_explanations(
        workdir, workdir / "write_explanations", style="llm", checkpoint=teller
    )
    records = list(read_jsonl(workdir / "write_explanations" / "explanations.jsonl"))
    assert [r["dropped"] for r in records] == [
        "no completion: the answer does not end"
    ] * 6


def test_one_teller_is_named_for_the_style_llm_and_none_for_others(workdir):
    teller = CheckpointTeller(model="finetune")
    endpoint = Endpoint(url="http://127.0.0.1:1/v1", model="m")
    for settings in (
        {"style": "llm"},
        {"style": "compact", "checkpoint": teller},
        {"style": "llm", "checkpoint": teller, "endpoint": endpoint},
    ):
        with pytest.raises(UserError, match="only for it"):
            write_explanations(workdir, workdir / "write_explanations", **settings)


@pytest.mark.parametrize("place", ["explanation", "trace"])
def test_noise_is_a_setting_and_the_report_says_that_the_check_finds_it(workdir, place):
    folder = workdir / "write_explanations"
    write_explanations(workdir, folder, noise=1.0, noise_place=place, min_grounding=0.0)
    report = json.loads((folder / "report.json").read_text())
    assert report["noise: explanations with wrong values"] == 6
    assert report["noise: of these found by the check"] == 6
    # The control learns from wrong values and right outputs.
    for record in read_jsonl(folder / "explanations.jsonl"):
        assert record["thought"] != "t=4" and record["stdout"] == "4\n"
