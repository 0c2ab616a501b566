"""A tokenizer.json made elsewhere, behind the same interface."""

import json

import pytest
import tokenizers

from simex.core.errors import UserError
from simex.tokens.chat import render
from simex.tokens.tokenizer import ChatPieces, HuggingFaceTokenizer
from tests.tokens.byte_level import train_byte_level

PIECES = ChatPieces(
    user="<|im_start|>user\n",
    assistant="<|im_end|>\n<|im_start|>assistant\n",
    end="<|im_end|>",
    pad="<|endoftext|>",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A byte-level BPE, as Qwen's and Llama's are."""
    tokenizer = train_byte_level(["user\nprint(x) assistant\n"] * 20)
    tokenizer.add_tokens([tokenizers.AddedToken("<think>", normalized=False)])
    path = tmp_path_factory.mktemp("hugging_face") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def tokenizer(path):
    return HuggingFaceTokenizer(path, pieces=PIECES)


@pytest.mark.parametrize(
    "text", ["", " a  b\t\n", "caf\u00e9 \U0001f600 \x00", "<|im_end|> <|endoftext|>"]
)
def test_decode_gives_the_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_in_text_stay_text_and_layout_tags_do_not(tokenizer):
    assert tokenizer.end_id not in tokenizer.encode("<|im_end|>")
    assert len(tokenizer.encode("<think>")) == 1


def test_a_chat_carries_the_control_ids_of_the_template(tokenizer):
    rendered = render(tokenizer, "print(x)", "1")
    start, end = 1, 2
    user, assistant = tokenizer.encode("user\n"), tokenizer.encode("assistant\n")
    prompt_ids = [start, *user, *tokenizer.encode("print(x)")]
    turn = [end, *tokenizer.encode("\n"), start, *assistant]
    answer = [*tokenizer.encode("1"), end]
    assert rendered.ids.tolist() == prompt_ids + turn + answer
    assert rendered.loss_mask.sum() == len(answer) == 2
    assert tokenizer.decode(rendered.ids) == "user\nprint(x)\nassistant\n1"


def test_pieces_that_are_not_one_token_are_refused(path):
    pieces = ChatPieces(user="", assistant="", end="<|eot|>", pad="<|endoftext|>")
    with pytest.raises(UserError, match=r"ChatPieces.end must be one token"):
        HuggingFaceTokenizer(path, pieces=pieces)


@pytest.mark.parametrize("name", ["<|im_start|>", "<|im_end|>"])
def test_control_pieces_that_text_could_spell_are_refused(name, path, tmp_path):
    """Added tokens that are not special are parsed from whatever a program prints."""
    content = json.loads(path.read_text())
    for token in content["added_tokens"]:
        token["special"] &= token["content"] != name
    changed = tmp_path / "tokenizer.json"
    changed.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        HuggingFaceTokenizer(changed, pieces=PIECES)
    assert str(caught.value) == (
        f"The control pieces of {changed} must be special, so that a program that "
        f'prints one is text; {name!r} is not. Set "special": true for each under '
        "added_tokens there."
    )


def test_a_piece_of_ordinary_text_cannot_end_a_completion(path):
    pieces = ChatPieces(user="", assistant="", end="x", pad="<|endoftext|>")
    with pytest.raises(UserError, match="'x' is not. Set"):
        HuggingFaceTokenizer(path, pieces=pieces)


def test_a_file_saved_with_truncation_and_padding_neither_cuts_nor_pads(
    path, tokenizer, tmp_path
):
    saved = tokenizers.Tokenizer.from_file(str(path))
    saved.enable_truncation(4)
    saved.enable_padding(length=4)
    saved.save(str(tmp_path / "tokenizer.json"))
    found = HuggingFaceTokenizer(tmp_path / "tokenizer.json", pieces=PIECES)
    for text, length in (("7", 1), ("0123456789", 10)):  # no digits were ever merged
        assert len(found.encode(text)) == length
        assert found.encode(text) == tokenizer.encode(text)
    assert found.end_id == tokenizer.end_id


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        HuggingFaceTokenizer(tmp_path / "tokenizer.json", pieces=PIECES)


def test_the_fingerprint_knows_the_chat_pieces(path, tokenizer):
    other = ChatPieces(user="", assistant="", end="<|im_end|>", pad="<|endoftext|>")
    found = HuggingFaceTokenizer(path, pieces=other).fingerprint
    assert found != tokenizer.fingerprint
    assert HuggingFaceTokenizer(path, pieces=PIECES).fingerprint == (
        tokenizer.fingerprint
    )
