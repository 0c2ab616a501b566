"""From the returns of a group to the advantages of its rollouts.

Each function takes returns_G and lengths_G (tokens of each rollout) and gives
advantages_G, all float64. The word "GRPO" names several of them; the names here say
what is subtracted and what is divided by.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from simex.core.errors import UserError

Returns = Float[np.ndarray, "G"]
Advantage = Callable[[Returns, Returns], Returns]


def group_mean(returns_G: Returns, lengths_G: Returns) -> Returns:
    """r − mean(r), as in Dr. GRPO (arXiv 2503.20783): [1,0,0,0] → [.75, −.25 ×3]."""
    del lengths_G
    return returns_G - returns_G.mean()


def length_weighted_mean(returns_G: Returns, lengths_G: Returns) -> Returns:
    """r − Σ(l·r)/Σl, the baseline of CWM (arXiv 2510.02387).

    With a loss that is summed over tokens, this baseline makes the advantages of all
    tokens of the group sum to zero: lengths [1, 3] and returns [1, 0] give
    [0.75, −0.25], and 1·0.75 + 3·(−0.25) = 0.
    """
    return returns_G - (returns_G * lengths_G).sum() / lengths_G.sum()


def group_mean_std(returns_G: Returns, lengths_G: Returns) -> Returns:
    """(r − mean) / (std + 1e-6) with ddof 1 (GRPO, arXiv 2402.03300, as verl has it).

    [1, 0, 0, 0] → [1.499997, −0.499999 ×3].
    """
    del lengths_G
    return (returns_G - returns_G.mean()) / (returns_G.std(ddof=1) + 1e-6)


def leave_one_out(returns_G: Returns, lengths_G: Returns) -> Returns:
    """r − mean of the others (RLOO, arXiv 2402.14740): [1,0,0,0] → [1, −1/3 ×3]."""
    del lengths_G
    size = len(returns_G)
    return (returns_G - returns_G.mean()) * size / (size - 1)


ADVANTAGES: Mapping[str, Advantage] = {
    "group_mean": group_mean,
    "length_weighted_mean": length_weighted_mean,
    "group_mean_std": group_mean_std,
    "leave_one_out": leave_one_out,
}


def compute_advantages(name: str, returns_G: Returns, lengths_G: Returns) -> Returns:
    """The advantages of one group by the function called `name`.

    Raises:
      UserError: the name is unknown, or the group has one rollout (its baseline would
        be itself, and nothing would be learned in silence).
    """
    if name not in ADVANTAGES:
        known = ", ".join(ADVANTAGES)
        raise UserError(f"An advantage must be one of {known}; got {name!r}.")
    if len(returns_G) < 2:
        raise UserError(
            "A group must have at least 2 rollouts, since each is compared with the "
            f"others; got {len(returns_G)}. Raise the objective's group_size."
        )
    return ADVANTAGES[name](returns_G, lengths_G)
