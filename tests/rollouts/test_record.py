"""Records of rollouts: bounded, with a text for each token."""

import dataclasses
import json

import numpy as np

from simex.rollouts.program import report_program
from simex.rollouts.record import MAX_IDS, to_record
from simex.rollouts.rollout import Group
from simex.rollouts.token_text import token_texts
from simex.sandbox.outcome import Judgement, RunOutcome, RunStatus, Verdict
from simex.tokens.train_tokenizer import train_sentencepiece
from tests.report.recorded import make_rollout, make_turn
from tests.scripted import PROBLEM, WRONG


def test_a_record_is_bounded_however_long_a_completion_is():
    long = make_turn(
        "x" * 100_000,
        completion_ids=(ord("x"),) * 10_000,
        sampler_logprobs=np.zeros(10_000, np.float32),
    )
    rollout = make_rollout(1.0, turns=(long,), source="#" * 100_000)
    one = to_record(Group(objective="o", item_id="i", rollouts=(rollout,)))
    (turn,) = one["rollouts"][0]["turns"]
    assert len(turn["completion_ids"]) == len(turn["logprobs"]) == MAX_IDS
    assert turn["num_tokens"] == 10_000
    assert turn["num_left_out"] == 10_000 - MAX_IDS
    assert len(turn["text"]) < 21_000


def test_of_hidden_tests_few_are_kept_in_full():
    hidden = dataclasses.replace(PROBLEM.tests[1], stdin="9" * 5000)
    problem = dataclasses.replace(PROBLEM, tests=(PROBLEM.tests[0], *[hidden] * 300))
    wrong = RunOutcome(
        status=RunStatus.OK,
        stdout=b"0\n" * 10_000,
        stderr_tail="",
        cpu_secs=0.0,
        wall_secs=0.0,
        backend="bare",
        num_bytes_left_out=1_000_000,
    )
    judgement = Judgement(
        verdicts=(Verdict.WRONG_OUTPUT,) * 301, outcomes=(wrong,) * 301, backend="bare"
    )
    report = report_program(WRONG, problem, judgement)
    assert [bool(test.stdin) for test in report.tests].count(True) == 5
    assert all(test.verdict == "wrong_output" for test in report.tests)
    # 20,000 of "0\n", and those that the judgement had left out.
    assert report.tests[0].stdout.endswith("0\n\n… of 1,020,000 bytes in all")
    # 5 tests of an stdin and an stdout of 2000 characters, and 300 verdicts.
    assert len(json.dumps(dataclasses.asdict(report))) < 100_000


def test_texts_of_tokens_join_to_the_text_of_all(tmp_path):
    tokenizer = train_sentencepiece(
        ["def f(a): return a"] * 9, tmp_path / "t.model", vocab_size=380, symbols=[]
    )
    for text in (
        "def f(a):\n    return a",
        " a  b ",
        "naïve 日本 \U0001f600!",
        "",
        "\t",
    ):
        ids = [*tokenizer.encode(text), tokenizer.end_id]
        texts = token_texts(tokenizer.decode, ids)
        assert len(texts) == len(ids) and "".join(texts) == text
