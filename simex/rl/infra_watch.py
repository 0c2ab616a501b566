"""Stops a run whose sandbox goes on failing."""

from collections.abc import Sequence

from simex.core.errors import UserError
from simex.rollouts.rollout import Group


class InfraWatch:
    """Counts train steps in a row that lost too many rollouts to faults of ours.

    A rollout that is lost is left out of baseline, loss and denominator, so a few do no
    harm. Many for long are another experiment than the one that was asked for.
    """

    def __init__(
        self, max_share: float, max_steps: int, *, num_bad_steps: int = 0
    ) -> None:
        """Allows fewer than `max_steps` steps in a row above `max_share`."""
        if not 0 <= max_share <= 1 or max_steps < 1:
            raise UserError(
                "max_lost_share must lie between 0 and 1 and max_lost_steps be at "
                f"least 1; got {max_share} and {max_steps}."
            )
        self._max_share, self._max_steps = max_share, max_steps
        self.num_bad_steps = num_bad_steps  # in a row, until now

    def check(self, groups: Sequence[Group]) -> None:
        """Looks at the rollouts of a train step.

        Raises:
          UserError: this step and enough before it lost more than the share.
        """
        asked = sum(len(group.rollouts) for group in groups)
        lost = asked - sum(len(group.valid_rollouts) for group in groups)
        is_bad = lost > self._max_share * asked
        self.num_bad_steps = self.num_bad_steps + 1 if is_bad else 0
        if self.num_bad_steps >= self._max_steps:
            raise UserError(
                f"At most {self._max_share:.0%} of the rollouts may be lost to faults "
                f"of the sandbox; {lost} of {asked} were, and it was too many in "
                f"{self.num_bad_steps} train steps in a row. Look at the machine's "
                "load and memory; the run continues from its last checkpoint."
            )
