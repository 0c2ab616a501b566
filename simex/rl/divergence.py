"""Estimators of KL(policy ‖ reference) at a token, and where the ratio is taken from.

k1, k2 and k3 are those of Schulman's note "Approximating KL divergence" (2020), for
tokens sampled from the policy. With d = log π − log π_ref: k1 = d is unbiased and may
be negative; k2 = d²/2 has the gradient of KL; k3 = e^−d − 1 + d is unbiased and never
negative, and is what GRPO (arXiv 2402.03300) adds to its loss.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Tokens = Float[Array, "B T"]


def k1(difference_BT: Tokens) -> Tokens:
    """d; as a loss on-policy its expected gradient is 0, so it only reports."""
    return difference_BT


def k2(difference_BT: Tokens) -> Tokens:
    """d² / 2."""
    return jnp.square(difference_BT) / 2


def k3(difference_BT: Tokens) -> Tokens:
    """e^−d − 1 + d."""
    return jnp.exp(-difference_BT) - 1 + difference_BT


KL_ESTIMATORS: Mapping[str, Callable[[Tokens], Tokens]] = {"k1": k1, "k2": k2, "k3": k3}


def from_sampler(
    logprobs_BT: Tokens, sampler_logprobs_BT: Tokens, cap: float
) -> tuple[Tokens, Tokens]:
    """(anchor, weight): ρ = π / π_sampler, and weight 1.

    The ratio is against the policy that really sampled the token, however old it is.
    """
    del cap
    return sampler_logprobs_BT, jnp.ones_like(logprobs_BT)


def from_trainer(
    logprobs_BT: Tokens, sampler_logprobs_BT: Tokens, cap: float
) -> tuple[Tokens, Tokens]:
    """(anchor, weight): ρ = π / sg(π), and weight min(sg(π) / π_sampler, cap).

    Truncated importance sampling (Yao et al., "Your efficient RL framework secretly
    brings you off-policy RL training", 2025) for one update a batch: the trainer's own
    policy is then the proximal one, ρ is 1 with the gradient of log π, and what
    separates it from the sampler is a capped constant weight.
    """
    anchor_BT = jax.lax.stop_gradient(logprobs_BT)
    return anchor_BT, jnp.minimum(jnp.exp(anchor_BT - sampler_logprobs_BT), cap)


Anchor = Callable[[Tokens, Tokens, float], tuple[Tokens, Tokens]]
IMPORTANCE: Mapping[str, Anchor] = {
    "sampler_ratio": from_sampler,
    "truncated": from_trainer,
}
