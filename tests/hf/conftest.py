"""A small tokenizer and small random models for the tests of exports."""

import jax
import numpy as np
import pytest

from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.tokens.train_tokenizer import train_sentencepiece

VOCAB_SIZE = 480  # of the embedding: padded above the tokenizer's
SYMBOLS = ("[PYTHON]", "[/PYTHON]", "<think>", "<output>")
TEXTS = [
    f"def f_{i}(total, x):\n    for y in range({i}):\n        total += x * y\n"
    f"    return total\n\nprint(f_{i}(int(input()), {i * 7}))\n"
    for i in range(60)
]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> SentencePieceTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    return train_sentencepiece(TEXTS, path, vocab_size=450, symbols=SYMBOLS)


@pytest.fixture(scope="session")
def make_config():
    def make(**changes) -> ModelConfig:
        settings = {
            "vocab_size": VOCAB_SIZE,
            "d_model": 32,
            "num_layers": 2,
            "num_query_heads": 4,
            "num_kv_heads": 2,
            "head_dim": 16,  # 4 heads of 16 are wider than the model's 32
            "d_ff": 48,
            "rope_theta": 5000.0,
            "norm_eps": 1e-5,
            "max_positions": 48,
        }
        return ModelConfig(**settings | changes)

    return make


@pytest.fixture(scope="session")
def make_params():
    def make(config: ModelConfig, seed: int = 0):
        # Every leaf random, norms and biases too: ones and zeros would hide mistakes.
        rng = np.random.default_rng(seed)
        shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
        return jax.tree.map(
            lambda leaf: 0.3 * rng.standard_normal(leaf.shape, np.float32), shapes
        )

    return make
