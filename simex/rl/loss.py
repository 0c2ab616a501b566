"""The policy-gradient loss: maths on arrays, with no model in it."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from simex.rl.algorithm import NONE, Algorithm
from simex.rl.clipping import CLIPPINGS
from simex.rl.divergence import IMPORTANCE, KL_ESTIMATORS

Tokens = Float[Array, "B T"]
Metrics = dict[str, tuple[Float[Array, ""], Float[Array, ""]]]

MAX_LOG_RATIO = 20.0  # beyond, exp and its gradient leave float32; e^20 is far clipped


def policy_loss(
    logprobs_BT: Tokens,
    sampler_logprobs_BT: Tokens,
    *,
    entropy_BT: Tokens,
    reference_logprobs_BT: Tokens | None = None,
    advantages_BT: Tokens,
    weights_BT: Tokens,
    mask_BT: Tokens,
    segments_BT: Int[Array, "B T"],
    algorithm: Algorithm,
) -> tuple[Float[Array, ""], Metrics]:
    """The weighted sum over sampled tokens of the token losses, not yet divided.

    −surrogate(ρ, A) · importance weight + kl_weight · KL − entropy_weight · entropy.

    Args:
      logprobs_BT: of the policy that is trained.
      sampler_logprobs_BT: of the policy that sampled the tokens, as it stored them.
      entropy_BT: of the distribution each token came from.
      reference_logprobs_BT: of the reference; needed where `algorithm.kl` asks for it.
      advantages_BT: of each token's rollout.
      weights_BT: from the reduction.
      mask_BT: 1 at tokens that the policy sampled and that count, else 0.
      segments_BT: 0 at padding, 1.. within a row.
      algorithm: the choices.

    Returns:
      The sum, and metrics as (total, weight) pairs over the masked tokens.
    """
    choice = CLIPPINGS[algorithm.clipping]
    anchor_BT, importance_BT = IMPORTANCE[algorithm.importance](
        logprobs_BT, sampler_logprobs_BT, algorithm.importance_cap
    )
    ratio_BT = choice.ratio(
        _log_ratio(logprobs_BT, anchor_BT, mask_BT), mask_BT, segments_BT
    )
    surrogate_BT = choice.surrogate(ratio_BT, advantages_BT, algorithm.bounds)
    losses_BT = -surrogate_BT * importance_BT - algorithm.entropy_weight * entropy_BT
    metrics = _measure_ratio(ratio_BT, advantages_BT, mask_BT, algorithm)
    gap_BT = _log_ratio(logprobs_BT, sampler_logprobs_BT, mask_BT)
    metrics |= _measure_gap(gap_BT, mask_BT, algorithm)
    metrics["policy/entropy"] = ((entropy_BT * mask_BT).sum(), mask_BT.sum())
    if algorithm.kl != NONE and reference_logprobs_BT is not None:
        difference_BT = -_log_ratio(reference_logprobs_BT, logprobs_BT, mask_BT)
        kl_BT = KL_ESTIMATORS[algorithm.kl](difference_BT)
        losses_BT = losses_BT + algorithm.kl_weight * kl_BT
        metrics["policy/reference_kl"] = ((kl_BT * mask_BT).sum(), mask_BT.sum())
    # Where, and not a product: what stands outside the mask may be anything.
    counted_BT = jnp.where(mask_BT > 0, losses_BT * weights_BT * mask_BT, 0.0)
    return counted_BT.sum(), metrics


def _log_ratio(logprobs_BT: Tokens, anchor_BT: Tokens, mask_BT: Tokens) -> Tokens:
    difference_BT = jnp.where(mask_BT > 0, logprobs_BT - anchor_BT, 0.0)
    return jnp.clip(difference_BT, -MAX_LOG_RATIO, MAX_LOG_RATIO)


def _measure_ratio(
    ratio_BT: Tokens, advantages_BT: Tokens, mask_BT: Tokens, algorithm: Algorithm
) -> Metrics:
    """The ratio that is clipped, and how often a bound took a token's gradient."""
    is_low_BT = (ratio_BT < 1 - algorithm.clip_low) & (advantages_BT < 0)
    is_high_BT = (ratio_BT > 1 + algorithm.clip_high) & (advantages_BT > 0)
    weight = mask_BT.sum()
    return {
        "policy/ratio": ((ratio_BT * mask_BT).sum(), weight),
        "policy/clip_fraction_low": ((is_low_BT * mask_BT).sum(), weight),
        "policy/clip_fraction_high": ((is_high_BT * mask_BT).sum(), weight),
    }


def _measure_gap(gap_BT: Tokens, mask_BT: Tokens, algorithm: Algorithm) -> Metrics:
    """Trainer against sampler, token by token, whatever the algorithm clips."""
    weight = mask_BT.sum()
    ratio_BT = jnp.exp(gap_BT)
    is_apart_BT = jnp.abs(gap_BT) > algorithm.gap_tolerance
    return {
        # k3: unbiased, never negative.
        "policy/approx_kl": (((ratio_BT - 1 - gap_BT) * mask_BT).sum(), weight),
        "policy/logprob_gap": (jnp.abs(gap_BT).sum(), weight),
        "policy/gap_above_tolerance": ((is_apart_BT * mask_BT).sum(), weight),
        "policy/ratio_below_half": (((ratio_BT < 0.5) * mask_BT).sum(), weight),
        "policy/ratio_above_2": (((ratio_BT > 2.0) * mask_BT).sum(), weight),
    }
