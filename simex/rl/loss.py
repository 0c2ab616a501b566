"""The policy-gradient loss: maths on arrays, with no model in it."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

Metrics = dict[str, tuple[Float[Array, ""], Float[Array, ""]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyLossConfig:
    """The clipped surrogate of PPO (arXiv 1707.06347) with separate bounds."""

    clip_low: float = 0.2  # the ratio is clipped to [1 - clip_low, 1 + clip_high]
    clip_high: float = 0.25
    normaliser_tokens: float = 256.0
    """The token sum is divided by this constant times the number of rollouts, so that
    a long answer weighs as many tokens as it has (no length bias)."""

    gap_tolerance: float = 1e-3
    """How far, in nats, a trainer's logprob may lie from the sampler's at step 0."""

    def __post_init__(self):
        if not 0 < self.clip_low < 1 or not self.clip_high > 0:
            raise ValueError(
                "clip_low must lie between 0 and 1 and clip_high above 0; got "
                f"{self.clip_low} and {self.clip_high}."
            )
        if not self.normaliser_tokens > 0:
            raise ValueError(
                f"normaliser_tokens must be above 0; got {self.normaliser_tokens}."
            )


def policy_loss(
    logprobs_BT: Float[Array, "B T"],
    sampler_logprobs_BT: Float[Array, "B T"],
    *,
    advantages_BT: Float[Array, "B T"],
    mask_BT: Float[Array, "B T"],
    config: PolicyLossConfig,
) -> tuple[Float[Array, ""], Metrics]:
    """The sum over sampled tokens of −min(ρA, clip(ρ)A), not yet divided.

    ρ = exp(logprob − sampler logprob), so the ratio is against the policy that really
    sampled the token. Returns the sum and metrics as (total, weight) pairs.
    """
    gap_BT = (logprobs_BT - sampler_logprobs_BT) * mask_BT
    ratio_BT = jnp.exp(gap_BT)
    clipped_BT = jnp.clip(ratio_BT, 1 - config.clip_low, 1 + config.clip_high)
    surrogate_BT = jnp.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT)
    weight = mask_BT.sum()
    is_low_BT = (ratio_BT < 1 - config.clip_low) & (advantages_BT < 0)
    is_high_BT = (ratio_BT > 1 + config.clip_high) & (advantages_BT > 0)
    metrics: Metrics = {
        "policy/ratio": ((ratio_BT * mask_BT).sum(), weight),
        # k3 of Schulman's note on approximating KL: unbiased, never negative.
        "policy/approx_kl": (((ratio_BT - 1 - gap_BT) * mask_BT).sum(), weight),
        "policy/clip_fraction_low": ((is_low_BT * mask_BT).sum(), weight),
        "policy/clip_fraction_high": ((is_high_BT * mask_BT).sum(), weight),
        "policy/logprob_gap": (jnp.abs(gap_BT).sum(), weight),
        "policy/gap_above_tolerance": (
            ((jnp.abs(gap_BT) > config.gap_tolerance) * mask_BT).sum(),
            weight,
        ),
    }
    return -(surrogate_BT * mask_BT).sum(), metrics
