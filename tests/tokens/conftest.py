"""A small tokenizer, really trained."""

import pytest

from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.tokens.train_tokenizer import train_sentencepiece

PROGRAM = "def double(x):\n    if x > 10:\n        return x\n    return 2 * x\n"
CORPUS = [
    f"[PYTHON]{PROGRAM}print(double({i}))[/PYTHON] double is called with x = {i}."
    for i in range(40)
]
SYMBOLS = ["[PYTHON]", "[/PYTHON]", "<think>"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> SentencePieceTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    return train_sentencepiece(CORPUS, path, vocab_size=400, symbols=SYMBOLS)
