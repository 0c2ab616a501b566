"""The tokenizer that simex trains: exact round trips, safe text, chosen pieces."""

import random

import numpy as np
import pytest
import sentencepiece

from simex.core.errors import UserError
from simex.tokens.tokenizer import CONTROL_PIECES, SentencePieceTokenizer
from simex.tokens.train_tokenizer import train_sentencepiece

TRICKY = [
    "",
    " ",
    "  two  spaces  ",
    "\ttab\t\n\n\r\n",
    "\n    x\n        y\n            z\n             w",
    "trailing \n ",
    "\u2581 a real U+2581 \u2581\u2581",
    "\n\u2581\u2581\u2581\u2581not an indentation",
    "null \x00 and \x7f",
    "<0x41> is no byte",
    "caf\u00e9 e\u0301 \u00a0\u3000\u200b\ufeff\ufffd \U0001f600",
    "\u2585 \u2047 <unk> <pad> <s></s>",
    "[PYTHON][/PYTHON]<think>[PYTHON",
]


@pytest.mark.parametrize("text", TRICKY)
def test_decode_gives_the_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def random_text(rng: random.Random) -> str:
    """Pieces that meet badly: spaces, tags, marks, any code point but surrogates."""
    parts = [" ", "\n", "    ", "\t", "\u2581", "<|end|>", "[PYTHON]", "12", "x", "\r"]
    code_points = [rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)]
    alphabet = [*parts, *map(chr, code_points)]
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(30)))


def test_decode_gives_any_random_text_back(tokenizer):
    rng = random.Random(0)
    for _ in range(2000):
        text = random_text(rng)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("piece", CONTROL_PIECES)
def test_text_that_looks_like_a_control_piece_stays_text(tokenizer, piece):
    ids = tokenizer.encode(f"print('{piece}')")
    assert min(ids) >= len(CONTROL_PIECES)
    assert tokenizer.decode(ids) == f"print('{piece}')"


def test_control_pieces_have_fixed_ids_and_no_text(tokenizer):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path))
    assert [processor.id_to_piece(i) for i in range(5)] == list(CONTROL_PIECES)
    assert (tokenizer.pad_id, tokenizer.user_ids) == (0, (2,))
    assert (tokenizer.assistant_ids, tokenizer.end_id) == ((3,), 4)
    a = tokenizer.encode("a")
    assert tokenizer.decode([2, *a, 3, *a, 4]) == "aa"


def pieces_of(tokenizer, text: str) -> list[str]:
    return [tokenizer.decode([i]) for i in tokenizer.encode(text)]


def test_tags_newlines_with_indentation_and_digits_are_one_piece_each(tokenizer):
    assert pieces_of(tokenizer, "[PYTHON]") == ["[PYTHON]"]
    assert pieces_of(tokenizer, "<think>7") == ["<think>", "7"]
    assert pieces_of(tokenizer, "\n        return x\n") == [
        "\n        ",
        "return",
        " x",
        "\n",
    ]
    assert pieces_of(tokenizer, "1024") == ["1", "0", "2", "4"]


def test_no_learned_piece_spans_a_space_or_holds_a_digit_with_others(tokenizer):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path))
    for i in range(tokenizer.vocab_size):
        if processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i):
            continue
        piece = processor.id_to_piece(i)
        word = piece.lstrip("\u2581")
        if piece.startswith(("\n", "[", "<think>")):
            continue  # symbols and newlines
        assert "\u2581" not in word, piece
        assert not any(c.isdigit() for c in word) or len(piece) == 1, piece


def test_training_twice_writes_the_same_bytes(tmp_path):
    texts = [f"for i in range({i}):\n    print(i)" for i in range(30)]
    for name in "ab":
        train_sentencepiece(texts, tmp_path / name, vocab_size=380, symbols=["[A]"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_corpus_with_few_words_gives_a_smaller_vocabulary(tmp_path):
    tokenizer = train_sentencepiece(
        ["x = 1"], tmp_path / "m", vocab_size=5000, symbols=[]
    )
    # 5 control pieces, 256 bytes, 4 newlines, 94 printable characters, the space.
    assert 360 <= tokenizer.vocab_size < 400
    assert tokenizer.decode(tokenizer.encode("x = 1")) == "x = 1"


def test_a_text_longer_than_the_default_limit_of_sentencepiece_is_learned(tmp_path):
    long = "quixotic " * 1000  # 9,000 bytes; the default skips above 4,192
    tokenizer = train_sentencepiece([long], tmp_path / "m", vocab_size=450, symbols=[])
    assert len(tokenizer.encode("quixotic")) == 1


@pytest.mark.parametrize(
    ("texts", "vocab_size", "symbols", "message"),
    [
        ([], 400, [], "at least one non-empty text"),
        (["", ""], 400, [], "at least one non-empty text"),
        (["x"], 100, [], "Raise vocab_size"),
        (["x"], 400, [""], "non-empty"),
        (["x"], 400, ["<|end|>"], "no control piece"),
        (["x"], 400, ["a\u2581b"], r"U\+2581"),
    ],
)
def test_impossible_training_is_refused_and_writes_nothing(
    tmp_path, texts, vocab_size, symbols, message
):
    with pytest.raises(UserError, match=message):
        train_sentencepiece(
            texts, tmp_path / "m", vocab_size=vocab_size, symbols=symbols
        )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_foreign_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is none"):
        SentencePieceTokenizer(tmp_path / "absent.model")
    (tmp_path / "text.model").write_text("not a model")
    with pytest.raises(UserError, match="cannot be read"):
        SentencePieceTokenizer(tmp_path / "text.model")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["some words"] * 5),
        model_prefix=str(tmp_path / "foreign"),
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    with pytest.raises(UserError, match="first pieces"):
        SentencePieceTokenizer(tmp_path / "foreign.model")


def test_lone_surrogates_are_refused_with_their_place(tokenizer):
    with pytest.raises(UserError, match=r"U\+D800 at character 2"):
        tokenizer.encode("ab\ud800")


def test_ids_outside_the_vocabulary_are_refused(tokenizer):
    assert tokenizer.decode(np.array([4])) == ""
    with pytest.raises(ValueError, match="padded"):
        tokenizer.decode([tokenizer.vocab_size])


def test_the_fingerprint_follows_the_model(tokenizer, tmp_path):
    copy = tmp_path / "copy.model"
    copy.write_bytes(tokenizer.path.read_bytes())
    assert SentencePieceTokenizer(copy).fingerprint == tokenizer.fingerprint
    other = train_sentencepiece(["y"], tmp_path / "m", vocab_size=380, symbols=[])
    assert other.fingerprint != tokenizer.fingerprint
