"""From token losses to one number: the weight of each token and the one denominator.

Each function takes lengths_R, the trained tokens of every rollout that counts, and
gives weights_R (of each token of that rollout) and what the sum is divided by. Both
come from the same lengths over the whole train step, never from a micro-batch or a
device, so that splitting the work changes nothing. What is masked out is in neither.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

Lengths = Float[np.ndarray, "R"]
Reduced = tuple[Lengths, float]  # (weights_R, denominator)


def sum_over_constant(lengths_R: Lengths, normaliser_tokens: float) -> Reduced:
    """Σ / (constant · rollouts), Dr. GRPO and CWM: no length bias at all."""
    return np.ones_like(lengths_R), normaliser_tokens * len(lengths_R)


def token_mean(lengths_R: Lengths, normaliser_tokens: float) -> Reduced:
    """Σ / tokens (DAPO, arXiv 2503.14476): every token of the step weighs the same."""
    del normaliser_tokens
    return np.ones_like(lengths_R), float(lengths_R.sum())


def sequence_mean(lengths_R: Lengths, normaliser_tokens: float) -> Reduced:
    """Mean over rollouts of the mean over their tokens (GRPO, arXiv 2402.03300).

    A token of a long rollout weighs less; a rollout is all its turns together.
    """
    del normaliser_tokens
    return 1 / np.maximum(lengths_R, 1.0), float(len(lengths_R))


REDUCTIONS: Mapping[str, Callable[[Lengths, float], Reduced]] = {
    "sum_over_constant": sum_over_constant,
    "token_mean": token_mean,
    "sequence_mean": sequence_mean,
}
