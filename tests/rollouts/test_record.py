"""Records of rollouts: bounded, with a text for each token."""

import numpy as np

from simex.rollouts.record import MAX_IDS, to_record
from simex.rollouts.rollout import Group
from simex.rollouts.token_text import token_texts
from simex.tokens.train_tokenizer import train_sentencepiece
from tests.report.recorded import make_rollout, make_turn


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
