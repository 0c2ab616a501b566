"""How often each task is drawn."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from simex.core.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """Shares of the examples (not of the tokens) of a batch, by task.

    Without weights every task takes part and every example is equally likely. With
    weights a task that is not named, or has weight 0, is left out. Weights need not
    sum to 1.

    Example: ``Mixture(weights={"explain": 3.0, "solve": 1.0})`` draws three
    explanations for one solution, whatever their numbers on disk.
    """

    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, weight in self.weights.items():
            if not (isinstance(weight, int | float) and math.isfinite(weight)):
                raise UserError(
                    f"Mixture weights must be finite numbers; got {weight!r} for "
                    f"{task!r}."
                )
            if weight < 0:
                raise UserError(
                    f"Mixture weights must be at least 0; got {weight} for {task!r}."
                )
        if self.weights and not any(self.weights.values()):
            raise UserError("At least one mixture weight must be above 0; all are 0.")

    def shares(self, known: Iterable[str]) -> dict[str, float] | None:
        """Share of each task that is drawn, sorted by name; None: in natural shares.

        Raises:
          UserError: a task that is not in `known`.
        """
        known = sorted(known)
        if unknown := sorted(set(self.weights) - set(known)):
            raise UserError(
                f"A mixture must name tasks of the data; got {', '.join(unknown)}. "
                f"Known tasks: {', '.join(known)}."
            )
        drawn = {t: float(w) for t, w in sorted(self.weights.items()) if w > 0}
        total = sum(drawn.values())
        return {task: weight / total for task, weight in drawn.items()} or None
