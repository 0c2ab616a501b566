"""What the explanation inside a prediction is worth, statement by statement.

The paper rewards the predicted output alone. Two explanations of one right answer may
yet differ in everything: one follows the run, one skips it and guesses. Here each
statement is looked up in the true trace (`nlex.grounding`), and where the first false
one stands is told, so that blame can begin there.
"""

import dataclasses
from collections.abc import Mapping

from simex.core.errors import UserError
from simex.nlex.grounding import check_text
from simex.nlex.layout import END_THINK, THINK
from simex.nlex.truth import Truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroundingReward:
    """How much each part counts; the reward is their weighted mean, from -1 to 1.

    Weights (1, 0, 0) are the outcome reward of the paper; (0, 1, 0) looks at the
    explanation only.

    Example: a right answer whose explanation is sound for 3 of 4 facts: outcome 1,
    soundness 2 * 3/4 - 1 = 0.5; with weights (1, 1, 0) the reward is 0.75.
    """

    outcome_weight: float = 1.0
    soundness_weight: float = 1.0
    """Of the share of the run's facts told before the first false statement. What is
    left out lowers it as well: an explanation that loses iterations is not sound."""

    truth_weight: float = 0.0
    """Of the share of true statements among all that are made, whatever is left out."""

    style: str = "compact"  # how explanations are read: a name in nlex.reading.READERS

    def __post_init__(self) -> None:
        """Raises UserError for a negative weight, or none at all."""
        weights = (self.outcome_weight, self.soundness_weight, self.truth_weight)
        if not all(weight >= 0 for weight in weights) or not sum(weights) > 0:
            raise UserError(
                "The weights of GroundingReward must be at least 0 and one must be "
                f"above 0; they are {', '.join(f'{w:g}' for w in weights)}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroundedScore:
    """What one completion earns, and where it goes wrong first."""

    reward: float  # from -1 to 1
    parts: Mapping[str, float]
    """"sound", "true_statements", "complete": shares from 0 to 1; "exact": 1 where all
    facts are told and nothing false is."""

    fault: tuple[int, int] | None
    """Characters [start, end) of the completion: its first false statement, or, where the
    outcome counts, the answer if only that is wrong. None: nothing that counts is false."""


def score_prediction(
    completion: str, truth: Truth, *, is_right: bool, config: GroundingReward
) -> GroundedScore:
    """Checks every statement of the completion's explanation against the run.

    Args:
      completion: as `tasks.predict_output` asks for it; anything at all is accepted.
        Without an end of thought all of it is the explanation.
      truth: of the program and stdin that were asked about.
      is_right: whether the predicted output is.
      config: the weights.
    """
    begin = completion.find(THINK) + len(THINK) if THINK in completion else 0
    end = completion.find(END_THINK, begin)
    thought = completion[begin : end if end >= 0 else len(completion)]
    found = check_text(thought, truth, style=config.style)
    false = found.false_statements
    sound = found.completeness
    fault = None
    if false:
        first = min(false, key=lambda judged: judged.statement.start).statement
        sound = check_text(
            thought[: first.start], truth, style=config.style
        ).completeness
        fault = (begin + first.start, begin + first.end)
    elif not is_right and end >= 0 and config.outcome_weight > 0:
        fault = (end, len(completion))
    parts = {
        "sound": sound,
        "true_statements": found.score,
        "complete": found.completeness,
        "exact": float(not false and found.completeness == 1.0),
    }
    return GroundedScore(
        reward=_weigh(float(is_right), parts, config), parts=parts, fault=fault
    )


def _weigh(
    is_right: float, parts: Mapping[str, float], config: GroundingReward
) -> float:
    weighed = (
        (config.outcome_weight, is_right),
        (config.soundness_weight, parts["sound"]),
        (config.truth_weight, parts["true_statements"]),
    )
    total = sum(weight for weight, _ in weighed)
    return sum(weight * (2 * value - 1) for weight, value in weighed) / total
