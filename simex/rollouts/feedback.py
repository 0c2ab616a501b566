"""Where the outputs come from that a submit-or-fix turn is shown."""

import dataclasses
from collections.abc import Sequence

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.core.prng import host_rng

EXECUTED = "executed"  # what the program really printed
PREDICTED = "predicted"  # what the policy, or a verifier, says that it prints
SCHEDULED = "scheduled"  # executed at first, predicted in the end
SOURCES = (EXECUTED, PREDICTED, SCHEDULED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feedback:
    """The source of feedback for each fix.

    Example: ``Feedback(sources=("executed", "predicted"))`` shows true outputs to the
    first fix and predictions to the second and all that follow.
    """

    sources: Sequence[str] = (EXECUTED,)  # of fix 1, 2, …; the last one holds on
    verifier: str = ""
    """Who predicts: "" for the policy itself, whose predictions are trained; or the
    stage of another checkpoint, e.g. "nlex/train_sft", whose are not."""

    first_step: int = 0
    last_step: int = 0
    """For "scheduled": the share of trajectories with predicted feedback rises in a
    straight line from 0 at `first_step` to 1 at `last_step`."""

    def __post_init__(self) -> None:
        """Raises UserError for an unknown source or a schedule that has no length."""
        if not self.sources:
            raise UserError(
                "Feedback.sources must name at least one source; it is empty. Known: "
                f"{', '.join(SOURCES)}."
            )
        for source in self.sources:
            if source not in SOURCES:
                raise unknown_name("source of feedback", source, SOURCES)
        if SCHEDULED in self.sources and not 0 <= self.first_step < self.last_step:
            raise UserError(
                "Scheduled feedback needs 0 <= first_step < last_step; got "
                f"{self.first_step} and {self.last_step}."
            )

    @property
    def can_predict(self) -> bool:
        """Whether anybody will ever be asked for a prediction."""
        return any(source != EXECUTED for source in self.sources)

    def predicted_share(self, *, fix: int, step: int) -> float:
        """The share of trajectories whose `fix` (from 1) sees predictions.

        With first_step 10 and last_step 30 it is 0.25 at step 15 of "scheduled".
        """
        source = self.sources[min(fix, len(self.sources)) - 1]
        if source == SCHEDULED:
            length = self.last_step - self.first_step
            return min(max((step - self.first_step) / length, 0.0), 1.0)
        return float(source == PREDICTED)

    def choose(self, *, fix: int, step: int, path: Sequence[int]) -> str:
        """EXECUTED or PREDICTED for one trajectory; a function of its arguments."""
        share = self.predicted_share(fix=fix, step=step)
        if 0 < share < 1:
            draw = host_rng(path[0], "feedback", *path[1:], fix).random()
            return PREDICTED if draw < share else EXECUTED
        return PREDICTED if share else EXECUTED
