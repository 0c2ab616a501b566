"""Turn, Rollout, Group: what sampling leaves behind."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from simex.sampling.samples import Stop


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """One prompt and the policy's completion of it, token in, token out."""

    task: str  # a name in tasks.TASKS
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]  # as sampled, with the stop token if it came
    sampler_logprobs: np.ndarray  # float32, one for each completion id
    stop: Stop
    text: str  # the completion for people and parsers; never encoded again

    @property
    def is_truncated(self) -> bool:
        return self.stop is not Stop.STOP_ID


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollout:
    """One attempt at an item: its turns and what they earned.

    `reward` is None when our own machinery failed; such a rollout has no part in
    baseline or loss, and is counted.
    """

    turns: tuple[Turn, ...]
    reward: float | None
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Named figures of this rollout for the metrics, e.g. {"passed": 1.0}."""

    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Text for the viewer: verdicts, predicted and true outputs."""

    @property
    def num_tokens(self) -> int:
        return sum(len(turn.completion_ids) for turn in self.turns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """The rollouts of one item, compared with each other."""

    objective: str
    item_id: str
    rollouts: tuple[Rollout, ...]

    @property
    def valid_rollouts(self) -> tuple[Rollout, ...]:
        return tuple(r for r in self.rollouts if r.reward is not None)

    @property
    def is_flat(self) -> bool:
        """All rewards are equal: nothing to learn from this group."""
        rewards = {r.reward for r in self.valid_rollouts}
        return len(rewards) < 2
