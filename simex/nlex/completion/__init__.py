"""Text for a prompt, from whoever can write it: an endpoint, a checkpoint, a cache."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """What came back for one prompt."""

    text: str
    num_prompt_tokens: int = 0  # as the endpoint counts them; 0 if it does not say
    num_completion_tokens: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionFailure:
    """Why nothing came back, after all attempts."""

    reason: str
    num_attempts: int = 1
    is_of_prompt: bool = False  # the fault of this prompt; others may fare better
    num_prompt_tokens: int = 0  # of an answer that came, is paid, and is of no use
    num_completion_tokens: int = 0


class Completer(Protocol):
    """Writes for prompts; a result for each, in order, and none ever raises."""

    def complete_all(
        self, prompts: Iterable[str]
    ) -> Iterator[Completion | CompletionFailure]:
        """One result a prompt; prompts are taken only so far ahead as is useful."""
        ...


class BatchCompleter:
    """Completes by batches with a plain function, e.g. a checkpoint's sampler.

    Example: ``BatchCompleter(lambda prompts: sample(policy, prompts), batch_size=64)``.
    """

    def __init__(
        self,
        function: Callable[[Sequence[str]], Sequence[Completion | CompletionFailure]],
        *,
        batch_size: int,
    ):
        """`function` gives one result for each of at most `batch_size` prompts."""
        self._function = function
        self._batch_size = batch_size

    def complete_all(
        self, prompts: Iterable[str]
    ) -> Iterator[Completion | CompletionFailure]:
        """As `Completer.complete_all`."""
        rest = iter(prompts)
        while batch := list(itertools.islice(rest, self._batch_size)):
            results = self._function(batch)
            yield from (result for _, result in zip(batch, results, strict=True))
