"""The gated activation, whose backward pass keeps its two inputs and nothing else."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def swiglu(gate: jax.Array, up: jax.Array) -> jax.Array:
    """silu(gate) * up (Shazeer 2020, arXiv 2002.05202).

    Left to automatic differentiation, three more arrays of this size would be kept for
    the backward pass: the sigmoid, the silu, and their product with `up`.
    """
    wide_gate, wide_up = gate.astype(jnp.float32), up.astype(jnp.float32)
    return (jax.nn.silu(wide_gate) * wide_up).astype(gate.dtype)


def _forward(
    gate: jax.Array, up: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return swiglu(gate, up), (gate, up)


def _backward(
    saved: tuple[jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
    gate, up = (x.astype(jnp.float32) for x in saved)
    sigmoid = jax.nn.sigmoid(gate)
    silu = gate * sigmoid
    grad_gate = grad * up * (sigmoid + silu * (1 - sigmoid))
    return grad_gate.astype(saved[0].dtype), (grad * silu).astype(saved[1].dtype)


swiglu.defvjp(_forward, _backward)
