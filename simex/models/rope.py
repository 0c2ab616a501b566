"""Rotary positions, halves rotated against each other.

Su et al. 2021, arXiv 2104.09864. Pairs are (i, i + H/2), as in Llama and Qwen weights
on the Hugging Face hub, not the neighbours (2i, 2i + 1) of the paper.
"""

import jax
import jax.numpy as jnp


def rope_angles(
    positions_BT: jax.Array, *, head_dim: int, theta: float
) -> tuple[jax.Array, jax.Array]:
    """(cos, sin) of the angles, each float32 [B, T, H/2]."""
    exponents = jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim
    frequencies = (theta**-exponents)[None, None, :]
    angles = positions_BT[..., None].astype(jnp.float32) * frequencies
    return jnp.cos(angles), jnp.sin(angles)


def apply_rope(x_BTNH: jax.Array, angles: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turns each head by its position's angles; same shape, float32."""
    cos, sin = (angle[:, :, None, :] for angle in angles)
    first, second = jnp.split(x_BTNH, 2, axis=-1)
    return jnp.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    )
