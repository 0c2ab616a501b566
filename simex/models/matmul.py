"""Matrix products with a chosen input type, float32 sums and kernels in parts."""

import functools

import jax
import jax.numpy as jnp

from simex.sharding.activations import KernelPlacement, place_kernel


def matmul(
    x: jax.Array,
    kernel_IO: jax.Array,
    *,
    compute_dtype: str,
    axes: tuple[str, str] | None = None,
) -> jax.Array:
    """x[..., I] @ kernel[I, O] -> float32 [..., O].

    With "bfloat16" both inputs are rounded and products are summed in float32, in the
    forward pass and in the gradient of `x`. The gradient of the kernel sums over all
    tokens and is laid out badly for the CPU's bfloat16 kernels (measured slower than
    float32 there), so the CPU computes it in float32; other platforms round it too.

    A kernel that is divided over devices (`axes` names its logical axes) is gathered in
    the compute type, for the forward and again for the backward pass, and its gradient
    is summed right into the parts: the least that can be moved (ZeRO stage 3,
    Rajbhandari et al. 2020, arXiv 1910.02054).
    """
    placement = None if axes is None else place_kernel(axes, kernel_IO.shape)
    if compute_dtype == "float32" and placement is None:
        return _dot(x, kernel_IO)
    return _placed_matmul(x, kernel_IO, compute_dtype, placement)


def _dot(x: jax.Array, kernel_IO: jax.Array) -> jax.Array:
    return jax.lax.dot_general(
        x,
        kernel_IO,
        (((x.ndim - 1,), (0,)), ((), ())),
        preferred_element_type=jnp.float32,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _placed_matmul(
    x: jax.Array, kernel_IO: jax.Array, dtype: str, placement: KernelPlacement | None
) -> jax.Array:
    return _dot(x.astype(dtype), _gathered(kernel_IO, dtype, placement))


def _placed_forward(
    x: jax.Array, kernel_IO: jax.Array, dtype: str, placement: KernelPlacement | None
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _placed_matmul(x, kernel_IO, dtype, placement), (x, kernel_IO)


def _placed_backward(
    dtype: str,
    placement: KernelPlacement | None,
    saved: tuple[jax.Array, jax.Array],
    grad: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, kernel_IO = saved
    grad_x = jax.lax.dot_general(
        grad.astype(dtype),
        _gathered(kernel_IO, dtype, placement),
        (((grad.ndim - 1,), (1,)), ((), ())),
        preferred_element_type=jnp.float32,
    )
    grad_kernel = jax.lax.platform_dependent(
        x,
        grad,
        cpu=functools.partial(_kernel_gradient, dtype="float32"),
        default=functools.partial(_kernel_gradient, dtype=dtype),
    )
    if placement is not None:
        grad_kernel = jax.lax.with_sharding_constraint(grad_kernel, placement.stored)
    return grad_x.astype(x.dtype), grad_kernel.astype(kernel_IO.dtype)


def _gathered(
    kernel_IO: jax.Array, dtype: str, placement: KernelPlacement | None
) -> jax.Array:
    kernel_IO = kernel_IO.astype(dtype)
    if placement is None:
        return kernel_IO
    # Both constraints: else the whole kernel might be gathered before it is rounded.
    kernel_IO = jax.lax.with_sharding_constraint(kernel_IO, placement.stored)
    return jax.lax.with_sharding_constraint(kernel_IO, placement.gathered)


def _kernel_gradient(x: jax.Array, grad: jax.Array, *, dtype: str) -> jax.Array:
    rows = tuple(range(x.ndim - 1))
    return jax.lax.dot_general(
        x.astype(dtype),
        grad.astype(dtype),
        ((rows, rows), ((), ())),
        preferred_element_type=jnp.float32,
    )


_placed_matmul.defvjp(_placed_forward, _placed_backward)
