"""The embedding lookup, with a gradient that the CPU can compute fast."""

import jax
import jax.numpy as jnp

from simex.models.matmul import precision_of

MAX_ONE_HOT = 2**24  # numbers of a one-hot block: 64 MiB


@jax.custom_vjp
def embed(embedding_VD: jax.Array, tokens_BT: jax.Array) -> jax.Array:
    """Rows of `embedding_VD` by token: [B, T, D].

    The gradient of a lookup is a scatter-add, which XLA runs element by element on the
    CPU. With a small vocabulary it is a product with a one-hot matrix instead.
    """
    return jnp.take(embedding_VD, tokens_BT, axis=0)


def _forward(
    embedding_VD: jax.Array, tokens_BT: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return embed(embedding_VD, tokens_BT), (embedding_VD, tokens_BT)


def _backward(
    saved: tuple[jax.Array, jax.Array], grad_BTD: jax.Array
) -> tuple[jax.Array, None]:
    embedding_VD, tokens_BT = saved
    if tokens_BT.size * embedding_VD.shape[0] > MAX_ONE_HOT:
        zeros = jnp.zeros_like(embedding_VD)
        return zeros.at[tokens_BT].add(grad_BTD.astype(zeros.dtype)), None
    one_hot = jax.nn.one_hot(tokens_BT, embedding_VD.shape[0], dtype=grad_BTD.dtype)
    grad = jnp.einsum(
        "btv,btd->vd",
        one_hot,
        grad_BTD,
        precision=precision_of(grad_BTD.dtype),
        preferred_element_type=jnp.float32,
    )
    return grad.astype(embedding_VD.dtype), None


embed.defvjp(_forward, _backward)
