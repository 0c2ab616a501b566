"""Examples of three tasks, and a tokenizer trained on them."""

from collections.abc import Iterator

import pytest

from simex.data.records import Example
from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.tokens.train_tokenizer import train_sentencepiece
from tests.sandbox.conftest import ray_cluster  # noqa: F401  (a fixture)


def make_examples(split: str, num_groups: int) -> Iterator[Example]:
    """Four examples a group: two explanations, a prediction and a solution."""
    for i in range(num_groups):
        for n, task in enumerate(["explain", "explain", "predict_output", "solve"]):
            yield Example(
                id=f"{split}/{i}/{n}",
                task=task,
                prompt=f"[PYTHON]\nx = {i}\nprint(x + {n})\n[/PYTHON]\n",
                target=f"x is {i}.\n" * (1 + i % 4) + f"It prints {i + n}.",
                group=f"{split}/{i}",
                source="curriculum",
            )


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> SentencePieceTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    texts = [e.prompt + e.target for e in make_examples("train", 20)]
    return train_sentencepiece(
        texts, path, vocab_size=400, symbols=["[PYTHON]", "[/PYTHON]"]
    )
