"""Says when no answer can be read, and stops a run that learns nothing for it.

A policy that was never shown how an answer is written gets the lowest reward whatever it
says: every group is flat, and no train step changes a weight. Where turns before the last
have rewards, or a refused answer still earns by how it went, such steps may teach.
"""

import collections
import sys
from collections.abc import Sequence

from simex.core.errors import UserError
from simex.rollouts.rollout import Group, Rollout

_ADVICE = (
    "Fine-tune on how answers are written first (build_dataset makes such examples for "
    "predict_output, solve and submit_or_fix), or raise Setup.max_new_tokens if "
    "completions are cut off"
)


class ReadableWatch:
    """Counts train steps in a row without a readable answer that taught nothing either.

    The count begins anew when a run is continued.
    """

    def __init__(self, max_steps: int) -> None:
        """Allows fewer than `max_steps` such steps in a row."""
        if max_steps < 1:
            raise UserError(
                f"max_unreadable_steps must be at least 1; got {max_steps}."
            )
        self._max_steps = max_steps
        self._num_steps = 0  # in a row, until now
        self._told: set[str] = set()

    def check(self, groups: Sequence[Group], *, teaches: bool) -> None:
        """Looks at the rollouts of a train step; warns of an objective once.

        Rollouts without a reward say nothing; one without a part "refused" was read.

        Args:
          groups: of the step.
          teaches: whether any of them is praised or blamed in the update.

        Raises:
          UserError: in this step and enough before it no rollout of any objective ended
            in a readable answer, and none taught anything.
        """
        rollouts: dict[str, list[Rollout]] = {}
        for group in groups:
            rollouts.setdefault(group.objective, []).extend(group.valid_rollouts)
        unread = {
            name: _reasons(own)
            for name, own in rollouts.items()
            if own and all(rollout.parts.get("refused") for rollout in own)
        }
        for name in unread.keys() - self._told:
            print(
                f"train_rl: none of {len(rollouts[name])} rollouts of {name} ended in a "
                f"readable answer ({unread[name]}). {_ADVICE}.",
                file=sys.stderr,
                flush=True,
            )
        self._told |= unread.keys()
        is_unread = bool(unread) and len(unread) == sum(map(bool, rollouts.values()))
        self._num_steps = self._num_steps + 1 if is_unread and not teaches else 0
        if self._num_steps >= self._max_steps:
            found = "; ".join(f"{name}: {why}" for name, why in unread.items())
            raise UserError(
                "Some rollout must end in a readable answer, or teach something else, "
                f"for RL to learn; none did in {self._num_steps} train steps in a row "
                f"({found}). {_ADVICE}; "
                "train_rl.max_unreadable_steps allows more steps."
            )


def _reasons(rollouts: Sequence[Rollout]) -> str:
    """Example: ``"no_end_of_thought 7, truncated 1"``, the most frequent first."""
    counts = collections.Counter(r for rollout in rollouts for r in rollout.refusals)
    listed = [f"{reason} {count}" for reason, count in counts.most_common()]
    return ", ".join(listed) or "no room for a prompt"
