"""Which ids of a vocabulary are rare in text."""

import numpy as np

from simex.tokens.tokenizer import Tokenizer


def find_rare_ids(tokenizer: Tokenizer, *, share: float) -> np.ndarray:
    """bool[V]: the last `share` of the ids that stand for several characters.

    Merges are learned in the order of their frequency, so the last ones are the rarest
    (Land and Bartolo, arXiv 2405.05417, on what else lies at the end of a vocabulary).
    Single characters and bytes are not merged: sentencepiece puts them behind all
    merges, digits among them, other tokenizers before. Control pieces have no text, and
    what was added behind all merges, such as `<think>`, no frequency has put there.

    Example: of the pieces "ab", "abc", "a", "b" a share of one half makes "abc" rare.
    """
    learned = (i for i in range(tokenizer.vocab_size) if i not in tokenizer.added_ids)
    merged = [i for i in learned if len(tokenizer.decode([i])) > 1]
    is_rare_V = np.zeros(tokenizer.vocab_size, bool)
    is_rare_V[merged[len(merged) - round(len(merged) * share) :]] = True
    return is_rare_V
