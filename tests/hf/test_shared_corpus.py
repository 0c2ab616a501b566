"""No id differs on real code, several languages, look-alikes of control and bytes.

The policy (simex.tokens.tokenizer): text never becomes a control piece, so transformers
is asked with `split_special_tokens`. A sentencepiece model that simex did not train is
refused; the tokenizer.json that transformers makes of it is taken.
"""

import importlib.util
import json
import pathlib
import shutil

import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.hf import tokenizer_export, verify
from simex.hf.corpus import make_corpus
from simex.hf.tokenizer_files import save_hugging_face_tokenizer
from simex.tokens.chat_pieces import ChatPieces
from simex.tokens.saved import PIECES, load_tokenizer

SHARED = pathlib.Path(__file__).parents[3] / "shared/data"
pytestmark = [
    pytest.mark.slow,  # transformers alone takes seconds to be imported
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        not importlib.util.find_spec("transformers"), reason="needs transformers"
    ),
    pytest.mark.skipif(not SHARED.exists(), reason="no shared data"),
]
FIELDS = {  # of each file of shared/data/public
    "functions_doctest.jsonl": ("source", "call", "expected"),
    "functions_mbpp_train.jsonl": ("source", "call", "expected"),
    "stdin_problems.jsonl": ("statement", "title"),  # English and Swedish
    "io_triples.jsonl": ("program", "stdin", "stdout"),
}
NUM_RECORDS = 150  # of each file, from all over it
MISTRAL = ChatPieces(user="<s>", assistant="</s><s>", end="</s>", pad="<unk>")


@pytest.fixture(scope="module")
def corpus():
    texts = list(make_corpus())
    for name, fields in FIELDS.items():
        records = list(read_jsonl(SHARED / "public" / name))
        for record in records[:: max(1, len(records) // NUM_RECORDS)]:
            texts += [record[field] for field in fields if record.get(field)]
    texts += [f"{piece}\nx = 1{piece}" for piece in ("<s>", "</s>", "<|im_end|>")]
    return list(dict.fromkeys(texts))


def compare(tokenizer, folder, texts):
    """What transformers finds of `texts` with the tokenizer in `folder`."""
    encoded = [(text, tokenizer.encode(text)) for text in texts]
    known = [[text, ids, tokenizer.decode(ids)] for text, ids in encoded]
    return verify.compare_tokenizer(str(folder), {"texts": known, "chats": []})


def assert_no_difference(found, num_texts):
    assert found["differences"] == []
    assert found["num_id_differences"] == found["num_decode_differences"] == 0
    assert found["num_texts"] == num_texts > 1000


def test_a_sentencepiece_that_simex_trained(tokenizer, corpus, tmp_path):
    model = tokenizer_export.load_model(tokenizer)
    tokenizer_export.save_tokenizer(tmp_path, model, max_positions=256)
    assert_no_difference(compare(tokenizer, tmp_path, corpus), len(corpus))


def test_the_tokenizer_of_smollm2(corpus, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir(), out.mkdir()
    shutil.copy(SHARED / "models/smollm2_tokenizer.json", source / "tokenizer.json")
    tokenizer = load_tokenizer(source)
    save_hugging_face_tokenizer(out, tokenizer, max_positions=8192)
    assert_no_difference(compare(tokenizer, out, corpus), len(corpus))


def test_the_sentencepiece_of_mistral_by_way_of_transformers(corpus, tmp_path):
    import transformers

    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir(), out.mkdir()
    shutil.copy(
        SHARED / "models/mistral_v1.tokenizer.model", source / "tokenizer.model"
    )
    with pytest.raises(UserError, match="import its tokenizer.json instead"):
        load_tokenizer(source)
    (source / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer"})
    )
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(source)
    (source / PIECES).write_text(json.dumps(vars(MISTRAL)))
    tokenizer = load_tokenizer(source)
    assert tokenizer.falls_back_to_bytes and tokenizer.vocab_size == 32_000
    save_hugging_face_tokenizer(out, tokenizer, max_positions=8192)
    assert_no_difference(compare(tokenizer, out, corpus), len(corpus))
