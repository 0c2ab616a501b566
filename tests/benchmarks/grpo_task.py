"""What a GRPO step of the benchmark works on, whoever makes it."""

import dataclasses
from collections.abc import Sequence

from tests.benchmarks.rollouts import (
    GROUP,
    MAX_NEW,
    NUM_PROMPTS,
    STOP_IDS,
    make_prompts,
)

LEARNING_RATE, BETAS, CLIP_NORM = 1e-6, (0.9, 0.999), 1.0
END_IDS = (1, *STOP_IDS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Of one step."""

    prompts: int = NUM_PROMPTS
    max_new: int = MAX_NEW

    @property
    def num_rollouts(self) -> int:
        return self.prompts * GROUP

    def make_texts(self) -> list[str]:
        """The prompts."""
        return [Ids().decode(p.tolist()) for p in make_prompts()[: self.prompts]]


def begins_even(ids: Sequence[int]) -> float:
    """The reward."""
    return float(bool(len(ids)) and int(ids[0]) % 2 == 0)


class Ids:
    """A tokenizer whose texts are ids with blanks between them; no chat around."""

    vocab_size, pad_id, end_id = 2048, 0, 1
    user_ids: tuple[int, ...] = ()
    assistant_ids: tuple[int, ...] = ()
    byte_ids: frozenset[int] = frozenset()
    added_ids: frozenset[int] = frozenset()
    fingerprint = "ids"

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return [int(word) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return " ".join(map(str, ids))
