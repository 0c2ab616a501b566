"""Matrix products with a chosen input type and float32 sums."""

import functools

import jax
import jax.numpy as jnp


def matmul(x: jax.Array, kernel_IO: jax.Array, *, compute_dtype: str) -> jax.Array:
    """x[..., I] @ kernel[I, O] -> float32 [..., O].

    With "bfloat16" both inputs are rounded and products are summed in float32, in the
    forward pass and in the gradient of `x`. The gradient of the kernel sums over all
    tokens and is laid out badly for the CPU's bfloat16 kernels (measured slower than
    float32 there), so the CPU computes it in float32; other platforms round it too.
    """
    if compute_dtype == "float32":
        return _dot(x, kernel_IO)
    return _mixed_matmul(x, kernel_IO)


def _dot(x: jax.Array, kernel_IO: jax.Array) -> jax.Array:
    return jax.lax.dot_general(
        x,
        kernel_IO,
        (((x.ndim - 1,), (0,)), ((), ())),
        preferred_element_type=jnp.float32,
    )


@jax.custom_vjp
def _mixed_matmul(x: jax.Array, kernel_IO: jax.Array) -> jax.Array:
    return _dot(x.astype(jnp.bfloat16), kernel_IO.astype(jnp.bfloat16))


def _mixed_forward(
    x: jax.Array, kernel_IO: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _mixed_matmul(x, kernel_IO), (x, kernel_IO)


def _mixed_backward(
    saved: tuple[jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel_IO = saved
    grad_x = jax.lax.dot_general(
        grad.astype(jnp.bfloat16),
        kernel_IO.astype(jnp.bfloat16),
        (((grad.ndim - 1,), (1,)), ((), ())),
        preferred_element_type=jnp.float32,
    )
    grad_kernel = jax.lax.platform_dependent(
        x,
        grad,
        cpu=functools.partial(_kernel_gradient, dtype="float32"),
        default=functools.partial(_kernel_gradient, dtype="bfloat16"),
    )
    return grad_x.astype(x.dtype), grad_kernel.astype(kernel_IO.dtype)


def _kernel_gradient(x: jax.Array, grad: jax.Array, *, dtype: str) -> jax.Array:
    rows = tuple(range(x.ndim - 1))
    return jax.lax.dot_general(
        x.astype(dtype),
        grad.astype(dtype),
        ((rows, rows), ((), ())),
        preferred_element_type=jnp.float32,
    )


_mixed_matmul.defvjp(_mixed_forward, _mixed_backward)
