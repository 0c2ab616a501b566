"""Rare ids: of real tokenizers, no character that programs are spelled with."""

import pytest

from simex.tokens.rarity import find_rare_ids
from simex.tokens.train_tokenizer import train_sentencepiece


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [f"while x_{i} < {i * 37}: total = total + x_{i} % 3\n" for i in range(200)]
    path = tmp_path_factory.mktemp("rarity") / "tokenizer.model"
    return train_sentencepiece(texts, path, vocab_size=400, symbols=["[PYTHON]"])


def test_the_last_merges_are_rare_and_no_character_digit_or_byte_is(tokenizer):
    is_rare_V = find_rare_ids(tokenizer, share=1 / 3)
    texts = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
    merged = [i for i, text in enumerate(texts) if len(text) > 1]
    rare = is_rare_V.nonzero()[0].tolist()
    assert rare == merged[len(merged) - round(len(merged) / 3) :] and len(rare) > 5
    # Digits are the last ids of a sentencepiece model: behind every merge.
    digits = [
        i
        for i, text in enumerate(texts)
        if text.isdigit() and len(text) == 1 and i not in tokenizer.byte_ids
    ]
    assert len(digits) == 10 and min(digits) > max(merged)
    assert (
        not is_rare_V[digits].any() and not is_rare_V[sorted(tokenizer.byte_ids)].any()
    )


def test_a_share_of_none_or_of_all(tokenizer):
    assert not find_rare_ids(tokenizer, share=0.0).any()
    everything = find_rare_ids(tokenizer, share=1.0)
    texts = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
    assert everything.tolist() == [len(text) > 1 for text in texts]
