"""Which train step is best, by one metric of what is never trained on."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from simex.core.errors import UserError

PREFIX = "validation/"


def is_lower_better(metric: str) -> bool:
    """Losses are to fall; rewards, pass rates and accuracies are to rise.

    Whoever measures says which of its figures are one of these (`refuse_unknown_metric`).
    """
    return metric.rsplit("/", 1)[-1] == "loss"


def rank_value(metric: str, value: float) -> float:
    """The value, or its negative where lower is better: the larger is the better."""
    return -value if is_lower_better(metric) else value


class Best(NamedTuple):
    """The best of some steps."""

    step: int
    value: float


def find_best(
    metrics_by_step: Mapping[int, Mapping[str, float]], metric: str | None = None
) -> Best | None:
    """The step with the best value; of equal ones the newest. None: none has a value.

    Without a name: by the metric of the newest step that has one.
    """
    ranked = [step for step, metrics in metrics_by_step.items() if metrics]
    if not metric and ranked:
        metric = next(iter(metrics_by_step[max(ranked)]))
    name = metric or ""
    found = [
        Best(step, float(metrics_by_step[step][name]))
        for step in ranked
        if name in metrics_by_step[step]
    ]
    key = lambda best: (rank_value(name, best.value), best.step)
    return max(found, key=key, default=None)


class BestSoFar:
    """Remembers the best value of one metric, and says when it is beaten.

    Example:
        best = BestSoFar("validation/loss", checkpoints.best(up_to=step))
        if best.is_beaten_by({"validation/loss": 1.5}): ...  # save this step, too
    """

    def __init__(self, metric: str, before: Best | None = None) -> None:
        """Without a name nothing is ever best; `before` is that of earlier steps."""
        self._metric = metric
        self._value = None if before is None else before.value

    def is_beaten_by(self, values: Mapping[str, float]) -> bool:
        """Whether `values` are the best so far; they are it from then on.

        A step that is only as good as an earlier one is not.
        """
        value = values.get(self._metric)
        if value is None:
            return False
        old = self._value
        if old is not None and (
            rank_value(self._metric, value) <= rank_value(self._metric, old)
        ):
            return False
        self._value = value
        return True

    def saved_with(self, values: Mapping[str, float]) -> dict[str, float] | None:
        """What a checkpoint of a step with these values is to be ranked by."""
        if self._metric not in values:
            return None
        return {self._metric: values[self._metric]}


def refuse_unknown_metric(metric: str, known: Iterable[str], *, where: str) -> None:
    """Raises UserError for a name, not empty, that no evaluation will measure."""
    names = sorted(known)
    if metric and metric not in names:
        measured = f"one of {', '.join(names)}" if names else "measured, but nothing is"
        raise UserError(
            f'{where} must be {measured}; it is {metric!r}. Choose one, or "" to keep '
            "the newest checkpoints only."
        )
