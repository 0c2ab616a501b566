"""The supervised loss: maths on arrays, with no model in it."""

from jaxtyping import Array, Float


def cross_entropy(
    logprobs_BT: Float[Array, "B T"], loss_mask_BT: Float[Array, "B T"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(−Σ mask·logprob, Σ mask): nats and target tokens, divided by the caller."""
    return -(logprobs_BT * loss_mask_BT).sum(), loss_mask_BT.sum()
