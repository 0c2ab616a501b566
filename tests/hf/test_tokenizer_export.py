"""tokenizer.json against the sentencepiece model it was made from."""

import json
import pathlib

import jinja2
import pytest
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2

from simex.core.errors import UserError
from simex.hf import tokenizer_export
from simex.hf.corpus import make_corpus
from simex.tokens.tokenizer import SentencePieceTokenizer


@pytest.fixture(scope="module")
def exported(tokenizer):
    model = tokenizer_export.load_model(tokenizer)
    text = json.dumps(tokenizer_export.tokenizer_json(model))
    loaded = tokenizers.Tokenizer.from_str(text)
    loaded.encode_special_tokens = True  # control pieces in text are text
    return loaded


def code_of_the_standard_library():
    for name in ("textwrap.py", "heapq.py", "bisect.py"):
        source = pathlib.Path(json.__file__).parents[1] / name
        yield from source.read_text(encoding="utf-8").split("\n\n")


def test_ids_equal_those_of_simex_on_hard_and_random_texts_and_code(
    tokenizer, exported
):
    texts = [*make_corpus(300, seed=1), *code_of_the_standard_library()]
    different = [t for t in texts if exported.encode(t).ids != tokenizer.encode(t)]
    assert different == []


def test_ids_are_read_back_as_the_same_text(tokenizer, exported):
    for text in make_corpus(300, seed=2):
        ids = tokenizer.encode(text)
        assert exported.decode(ids, skip_special_tokens=False) == text


def test_tags_and_indented_newlines_are_one_id_each(tokenizer, exported):
    ids = exported.encode("[PYTHON]\n        <think>\n    ").ids
    assert [exported.id_to_token(i) for i in ids] == [
        "[PYTHON]",
        "\n        ",
        "<think>",
        "\n    ",
    ]
    assert ids == tokenizer.encode("[PYTHON]\n        <think>\n    ")


def test_control_pieces_are_parsed_only_when_asked_for(exported):
    assert 4 not in exported.encode("<|end|>").ids
    exported.encode_special_tokens = False
    assert exported.encode("<|user|>a<|end|>").ids[0::2] == [2, 4]
    exported.encode_special_tokens = True


def test_a_merge_is_listed_for_every_split_best_piece_first(tokenizer):
    model = tokenizer_export.load_model(tokenizer)
    merges = tokenizer_export.merges(model)
    score = {tokenizer_export.text_of(p): p.score for p in model.pieces}
    scores = [score[left + right] for left, right in merges]
    assert scores == sorted(scores, reverse=True)
    assert ["in", "t"] in merges or ["i", "nt"] in merges
    assert len(merges) == len({tuple(pair) for pair in merges})


def render_chat(*contents, **kwargs):
    roles = ("user", "assistant") * len(contents)
    messages = [{"role": r, "content": c} for r, c in zip(roles, contents)]
    # `generation` is a block that transformers adds to jinja; it changes no text.
    template = tokenizer_export.CHAT_TEMPLATE.replace(" generation ", " if true ")
    template = template.replace("endgeneration", "endif")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined
    )
    return environment.from_string(template).render(messages=messages, **kwargs)


def test_the_chat_template_keeps_every_space_of_the_contents():
    assert render_chat(" a \n", "\n b") == "<|user|> a \n<|assistant|>\n b<|end|>"


def test_the_text_of_a_chat_begins_with_the_text_of_its_beginning():
    prompt = render_chat("q", add_generation_prompt=True)
    assert prompt == "<|user|>q<|assistant|>"
    one = render_chat("q", "a")
    assert one.startswith(prompt)
    assert render_chat("q", "a", "r").startswith(one)


def train(tmp_path, **changes):
    path = tmp_path / "other.model"
    settings = {
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": ["<|user|>", "<|assistant|>", "<|end|>"],
    }
    with open(path, "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["some words to learn"] * 20),
            model_writer=file,
            vocab_size=290,
            hard_vocab_limit=False,
            minloglevel=3,
            **settings | changes,
        )
    return path


@pytest.mark.parametrize(
    "changes,named",
    [
        ({"model_type": "unigram"}, "model_type=bpe"),
        ({"add_dummy_prefix": True}, "add_dummy_prefix=false"),
        ({"normalization_rule_name": "nfkc"}, "normalization_rule_name=identity"),
        ({"remove_extra_whitespaces": True}, "remove_extra_whitespaces=false"),
        ({"byte_fallback": False}, "byte_fallback=true"),
        ({"user_defined_symbols": ["a b"]}, "no bare space in a piece"),
    ],
)
def test_a_model_whose_ids_would_change_is_refused_by_its_setting(
    tmp_path, changes, named
):
    with pytest.raises(UserError, match=named):
        tokenizer_export.load_model(SentencePieceTokenizer(train(tmp_path, **changes)))


def test_the_copied_model_is_the_original(tokenizer, tmp_path):
    model = tokenizer_export.load_model(tokenizer)
    tokenizer_export.save_tokenizer(tmp_path, model, max_positions=48)
    copy = sentencepiece_model_pb2.ModelProto.FromString(
        (tmp_path / "tokenizer.model").read_bytes()
    )
    assert copy == model
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    # Under any other class transformers would rebuild the tokenizer and change ids.
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
