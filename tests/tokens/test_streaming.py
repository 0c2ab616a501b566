"""Streamed text is the text of all ids; control look-alikes stay text."""

import pathlib
import random

import pytest
import tokenizers
from tokenizers import decoders, models

from simex.tokens.saved import load_tokenizer, save_tokenizer
from tests.tokens.streaming import StreamDecoder

SHARED = pathlib.Path(__file__).parents[3] / "shared/data/models"
# Characters that SmolLM2's vocabulary has no piece for; transformers drops them too.
LOST = dict.fromkeys((0x04, 0x06, 0x13, 0x14, 0x16, 0x1D))
TEXTS = [
    "def f(x):\n\treturn x + 1  # caf\u00e9 \u65e5\u672c\u8a9e \U0001f600\U0001f468\u200d\U0001f469",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea e\u0301 \ufffd\ufffd x",
    bytes(range(256)).decode("latin-1"),
    "<|im_end|><|end|><|endoftext|></s><0x41> [ANSWER]",
    "    four\n        eight\n \n",
]


@pytest.fixture(scope="module")
def falling_back(tmp_path_factory):
    """A tokenizer.json that spells unknown characters in bytes, as Llama 2's does."""
    pieces = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<unk>"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)] + list(" abcdefx\nusrit")
    made = tokenizers.Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(pieces[:3])
    folder = tmp_path_factory.mktemp("falling_back")
    made.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    """The shared tokenizer of SmolLM2."""
    path = SHARED / "smollm2_tokenizer.json"
    if not path.exists():
        pytest.skip("no shared tokenizers")
    folder = tmp_path_factory.mktemp("byte_level")
    (folder / "tokenizer.json").write_bytes(path.read_bytes())
    return load_tokenizer(folder)


@pytest.fixture(params=["tokenizer", "falling_back", "byte_level"])
def any_tokenizer(request):
    return request.getfixturevalue(request.param)


def stream(tokenizer, ids):
    decoder = StreamDecoder(tokenizer)
    return [decoder.push(i) for i in ids] + [decoder.finish()]


@pytest.mark.parametrize("text", TEXTS)
def test_streamed_text_is_the_text(any_tokenizer, text):
    ids = any_tokenizer.encode(text)
    parts = stream(any_tokenizer, ids)
    assert "".join(parts) == any_tokenizer.decode(ids)
    if not any_tokenizer.byte_ids or text.isascii():
        assert sum(map(bool, parts)) > 1  # it does not wait for the end


def test_random_ids_and_broken_characters_stream_as_they_decode(any_tokenizer):
    rng = random.Random(0)
    odd = [i for text in TEXTS for i in any_tokenizer.encode(text)]
    for _ in range(200):
        ids = rng.choices(odd, k=rng.randint(1, 12))
        ids += [
            rng.randrange(any_tokenizer.vocab_size) for _ in range(rng.randint(0, 6))
        ]
        assert "".join(stream(any_tokenizer, ids)) == any_tokenizer.decode(ids)


@pytest.mark.parametrize("text", TEXTS)
def test_shared_tokenizers_give_every_text_back_and_no_control_ids(byte_level, text):
    ids = byte_level.encode(text)
    assert byte_level.decode(ids) == text.translate(LOST)
    controls = {byte_level.end_id, byte_level.pad_id, byte_level.user_ids[0]}
    assert not controls & set(ids)


def test_a_saved_tokenizer_is_the_same_one(any_tokenizer, tmp_path):
    save_tokenizer(any_tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).fingerprint == any_tokenizer.fingerprint
