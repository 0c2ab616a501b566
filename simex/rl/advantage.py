"""From the returns of a group to the advantages of its rollouts.

Each function takes returns_G and lengths_G (tokens of each rollout) and gives
advantages_G, all float64. The word "GRPO" names several of them; the names here say
what is subtracted and what is divided by.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from simex.core.errors import UserError
from simex.core.names import unknown_name

Returns = Float[np.ndarray, "G"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """How `mean_std` measures the spread of a group."""

    ddof: int = 1  # the sum of squares is divided by G - ddof
    eps: float = 1e-6  # added to the standard deviation

    def __post_init__(self) -> None:
        """Raises UserError for a number outside its range."""
        if self.ddof not in (0, 1) or not self.eps >= 0:
            raise UserError(
                "The spread of a group needs std_ddof 0 or 1 and std_eps of at least "
                f"0; they are {self.ddof} and {self.eps}."
            )


Advantage = Callable[[Returns, Returns, Spread], Returns]


def group_mean(returns_G: Returns, lengths_G: Returns, spread: Spread) -> Returns:
    """r − mean(r), as in Dr. GRPO (arXiv 2503.20783): [1,0,0,0] → [.75, −.25 ×3]."""
    del lengths_G, spread
    return returns_G - returns_G.mean()


def length_weighted_mean(
    returns_G: Returns, lengths_G: Returns, spread: Spread
) -> Returns:
    """r − Σ(l·r)/Σl, the baseline of CWM (arXiv 2510.02387).

    With a loss that is summed over tokens, this baseline makes the advantages of all
    tokens of the group sum to zero: lengths [1, 3] and returns [1, 0] give
    [0.75, −0.25], and 1·0.75 + 3·(−0.25) = 0.
    """
    del spread
    return returns_G - (returns_G * lengths_G).sum() / lengths_G.sum()


def mean_std(returns_G: Returns, lengths_G: Returns, spread: Spread) -> Returns:
    """(r − mean) / (std + eps), GRPO (arXiv 2402.03300).

    [1, 0, 0, 0] → [1.499997, −0.499999 ×3] with ddof 1 and eps 1e-6 (verl),
    [1.499700, −0.499900 ×3] with ddof 1 and eps 1e-4 (TRL), [1.732051, −0.577350 ×3]
    with ddof 0.
    """
    del lengths_G
    std = returns_G.std(ddof=spread.ddof)
    return (returns_G - returns_G.mean()) / (std + spread.eps)


def leave_one_out(returns_G: Returns, lengths_G: Returns, spread: Spread) -> Returns:
    """r − mean of the others (RLOO, arXiv 2402.14740): [1,0,0,0] → [1, −1/3 ×3]."""
    del lengths_G, spread
    size = len(returns_G)
    return (returns_G - returns_G.mean()) * size / (size - 1)


def max_rl(returns_G: Returns, lengths_G: Returns, spread: Spread) -> Returns:
    """(s − mean(s)) / mean(s) with s = r − min(r) (MaxRL): [1,0,0,0] → [3, −1 ×3].

    MaxRL divides by the pass rate, for rewards of 0 and 1. Counting from the worst
    reward of the group makes ±1, or any two rewards, mean the same; a flat group has
    only zeros.
    """
    del lengths_G, spread
    scores_G = returns_G - returns_G.min()
    mean = scores_G.mean()
    return (scores_G - mean) / mean if mean > 0 else np.zeros_like(scores_G)


ADVANTAGES: Mapping[str, Advantage] = {
    "group_mean": group_mean,
    "length_weighted_mean": length_weighted_mean,
    "mean_std": mean_std,
    "leave_one_out": leave_one_out,
    "max_rl": max_rl,
}


def compute_advantages(
    name: str, returns_G: Returns, lengths_G: Returns, *, spread: Spread = Spread()
) -> Returns:
    """The advantages of one group by the function called `name`.

    Raises:
      UserError: the name is unknown, or the group has one rollout (its baseline would
        be itself, and nothing would be learned in silence).
    """
    if name not in ADVANTAGES:
        raise unknown_name("advantage", name, ADVANTAGES)
    refuse_single(len(returns_G))
    return ADVANTAGES[name](returns_G, lengths_G, spread)


def refuse_single(group_size: int, *, whose: str = "A group") -> None:
    """Raises UserError where a group has fewer than two rollouts."""
    if group_size < 2:
        raise UserError(
            f"{whose} must have at least 2 rollouts, since each is compared with the "
            f"others: alone it would be its own baseline and teach nothing. It has "
            f"{group_size}. Raise the objective's group_size."
        )
