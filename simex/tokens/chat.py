"""A chat as token ids with a loss mask, rendered once.

    <|user|> prompt <|assistant|> completion <|end|>

Prompt and completion are always tokenized apart, so that the prompt ids of SFT are the
prompt ids of sampling. Ids that a policy produced are never decoded and encoded again:
`Rendered.from_ids` takes them as they came.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from simex.tokens.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """One sequence of L tokens.

    Example: prompt "a" (id 10), target "b" (id 11) in a sentencepiece model:
    ``ids = [2, 10, 3, 11, 4]``, ``loss_mask = [0, 0, 0, 1, 1]``.
    """

    ids: np.ndarray  # int32 [L]
    loss_mask: np.ndarray  # float32 [L]; weight of each token as a target
    id: str = ""  # names the example in errors

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 or self.ids.shape != self.loss_mask.shape:
            raise ValueError(
                "Rendered.ids and loss_mask must be vectors of one length; got shapes "
                f"{self.ids.shape} and {self.loss_mask.shape} for {self.id!r}."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_ids(
        cls, prompt_ids: Sequence[int], completion_ids: Sequence[int], *, id: str = ""
    ) -> "Rendered":
        """The ids that went into a sampler and those that came out.

        `completion_ids` hold the end id if the policy wrote it, and lack it if the
        completion was cut off: nothing is added. The loss is on all of them.
        """
        ids = np.concatenate(
            [
                np.asarray(prompt_ids, dtype=np.int32),
                np.asarray(completion_ids, dtype=np.int32),
            ]
        )
        loss_mask = np.zeros(len(ids), dtype=np.float32)
        loss_mask[len(prompt_ids) :] = 1.0
        return cls(ids=ids, loss_mask=loss_mask, id=id)


def render_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Ids to sample from; they end with the assistant marker."""
    return [*tokenizer.user_ids, *tokenizer.encode(prompt), *tokenizer.assistant_ids]


def render(tokenizer: Tokenizer, prompt: str, target: str, *, id: str = "") -> Rendered:
    """A prompt with its completion; the loss is on the target and on the end id."""
    completion_ids = [*tokenizer.encode(target), tokenizer.end_id]
    return Rendered.from_ids(render_prompt(tokenizer, prompt), completion_ids, id=id)
