"""Turn, Rollout, Group: what sampling leaves behind."""

import dataclasses
import enum
from collections.abc import Mapping

import numpy as np

from simex.rollouts.program import ProgramReport
from simex.sampling.samples import Stop

POLICY = "policy"  # the author of what the trained policy sampled


class End(enum.Enum):
    """Why a rollout has no further turn. Compare with `is`; it has no truth value."""

    ANSWERED = "answered"  # the one turn that there is was answered
    SUBMITTED = "submitted"
    TURN_LIMIT = "turn_limit"  # no further fix is allowed
    REFUSED = "refused"  # the last completion holds no answer; `refusals` says why
    NO_ROOM = "no_room"  # the prompt of a fix is too long; the program stands
    NO_FEEDBACK = "no_feedback"  # our own machinery gave no output to show

    def __bool__(self) -> bool:
        """Raises TypeError: each is an end, none is false."""
        raise TypeError("An End has no truth value; compare it, as in `end is X`.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """One prompt and a completion of it, token in, token out.

    What a turn earns: its `credit` times the advantage of its rollout and, where it has
    a `reward` of its own, that reward against those of the group's other turns of the
    same task.
    """

    task: str  # a name in tasks.TASKS
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]  # as sampled, with the stop token if it came
    sampler_logprobs: np.ndarray  # float32, one for each completion id
    stop: Stop
    text: str  # the completion for people and parsers; never encoded again
    prompt: str = ""  # for people
    author: str = POLICY  # or the stage of the checkpoint that spoke instead
    policy_version: int = 0  # train steps behind the params that sampled it
    credit: float = 1.0
    reward: float | None = None  # e.g. for a prediction inside a trajectory
    fault: tuple[int, int] | None = None
    """Offsets [start, end) in `completion_ids` of the first false statement, where
    somebody looked for one; what is blamed is `rl.segment_credit`'s choice."""

    @property
    def is_truncated(self) -> bool:
        return self.stop is not Stop.STOP_ID

    @property
    def is_trained(self) -> bool:
        """The policy sampled it: only then has it a loss and part in the invariants."""
        return self.author == POLICY and bool(self.completion_ids)

    @property
    def provenance_mask(self) -> np.ndarray:
        """float32, 1 for each id that the policy sampled, over prompt and completion.

        Example: a prompt of 2 ids and a completion of 3 gives [0, 0, 1, 1, 1]; that of
        a verifier gives [0, 0, 0, 0, 0].
        """
        mask = np.zeros(len(self.prompt_ids) + len(self.completion_ids), np.float32)
        if self.is_trained:
            mask[len(self.prompt_ids) :] = 1.0
        return mask


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

    end: End = End.ANSWERED
    refusals: tuple[str, ...] = ()
    """Why completions of it were refused: values of `tasks.answer.Refusal`."""

    programs: tuple[ProgramReport, ...] = ()
    """Each program that stood, for the viewer, in order; the last was rewarded."""

    @property
    def num_tokens(self) -> int:
        """Ids that the policy sampled."""
        return sum(len(turn.completion_ids) for turn in self.turns if turn.is_trained)


def has_passed(rollout: Rollout) -> bool:
    """Whether it did what was asked, as its objective says; else by its reward."""
    return bool(rollout.parts.get("passed", float((rollout.reward or 0.0) > 0)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """The rollouts of one item, compared with each other."""

    objective: str
    item_id: str
    rollouts: tuple[Rollout, ...]

    @property
    def valid_rollouts(self) -> tuple[Rollout, ...]:
        return tuple(r for r in self.rollouts if r.reward is not None)
