"""Rare ids: of real tokenizers, no character that programs are spelled with."""

import json
import pathlib

import pytest

from simex.tokens.chat_pieces import CHATML
from simex.tokens.rarity import find_rare_ids
from simex.tokens.tokenizer import HuggingFaceTokenizer
from simex.tokens.train_tokenizer import train_sentencepiece

SHARED = pathlib.Path(__file__).parents[3] / "shared/data"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [f"while x_{i} < {i * 37}: total = total + x_{i} % 3\n" for i in range(200)]
    path = tmp_path_factory.mktemp("rarity") / "tokenizer.model"
    return train_sentencepiece(texts, path, vocab_size=400, symbols=["[PYTHON]"])


def rare_pieces(tokenizer, share: float) -> list[str]:
    ids = find_rare_ids(tokenizer, share=share).nonzero()[0].tolist()
    return [tokenizer.decode([i]) for i in ids]


def test_the_last_merges_are_rare_and_no_character_digit_or_byte_is(tokenizer):
    # 30 pieces of several characters: 25 merges, three indented line breaks, the
    # layout tag and the mark of the unknown. A third are 10, of merges learned last.
    assert rare_pieces(tokenizer, 1 / 3) == (
        ["il", "ta", "to", "wh", " x", "hil", "tal", "tot", "hile", " tot"]
    )


def test_a_share_of_none_or_of_all(tokenizer):
    assert rare_pieces(tokenizer, 0.0) == []
    everything = rare_pieces(tokenizer, 1.0)
    assert len(everything) == 30 and {"[PYTHON]", "\n    ", "while"} <= set(everything)
    assert not {"0", "9", "x", "\n", " ", ""} & set(everything)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_of_a_tokenizer_made_elsewhere_neither_bytes_nor_added_tokens_are_rare(
    tmp_path,
):
    source = json.loads((SHARED / "models/smollm2_tokenizer.json").read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False}
    added = {"id": 49152, "content": "<think>", "normalized": False, "special": False}
    source["added_tokens"].append(added | plain)  # behind all merges, as Qwen has it
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(source))
    tokenizer = HuggingFaceTokenizer(path, pieces=CHATML)
    assert tokenizer.encode("<think>0") == [49152, 32]
    # Of SmolLM2's merges the last ones; 0 to 16 are special, 32 to 41 the digits.
    is_rare_V = find_rare_ids(tokenizer, share=0.1)
    assert rare_pieces(tokenizer, 0.1)[-3:] == [" exfol", " Mama", "ectable"]
    assert not is_rare_V[[*range(42), 49152]].any() and 4800 < is_rare_V.sum() < 4900
    is_rare_V = find_rare_ids(tokenizer, share=1.0)
    assert not is_rare_V[[*range(42), 49152]].any()
