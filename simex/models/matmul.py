"""Matrix products with a chosen input type, float32 sums and kernels in parts."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from simex.sharding.activations import KernelPlacement, current_mesh, place_kernel
from simex.sharding.layouts import row_major
from simex.sharding.mesh import platform_of


def matmul(
    x: jax.Array,
    kernel_IO: jax.Array,
    *,
    compute_dtype: str,
    axes: tuple[str, str] | None = None,
    out_dtype: str = "float32",
) -> jax.Array:
    """x[..., I] @ kernel[I, O] -> [..., O] of `out_dtype`.

    With "bfloat16" both inputs are rounded and products are summed in float32, in the
    forward pass and in both gradients.

    A kernel that is divided over devices (`axes` names its logical axes) is gathered in
    the compute type, for the forward and again for the backward pass, and its gradient
    is summed right into the parts: the least that can be moved (ZeRO stage 3,
    Rajbhandari et al. 2020, arXiv 1910.02054).
    """
    placement = None if axes is None else place_kernel(axes, kernel_IO.shape)
    return _placed_matmul(x, kernel_IO, compute_dtype, placement, out_dtype)


def kept_dtype(compute_dtype: str) -> str:
    """The type of what one product gives and the next one reads, after a function.

    On a GPU the compute type: one more rounding, for half of what is read and written.
    Functions between products, norms and the residual are float32 in any case.
    """
    mesh = current_mesh()
    is_gpu = mesh is not None and platform_of(mesh) == "gpu"
    return compute_dtype if is_gpu else "float32"


def precision_of(dtype: jax.typing.DTypeLike) -> jax.lax.Precision:
    """float32 means float32: accelerators would round the inputs of such products."""
    is_float32 = jnp.dtype(dtype) == jnp.float32
    return jax.lax.Precision.HIGHEST if is_float32 else jax.lax.Precision.DEFAULT


def _contract(
    x: jax.Array, y: jax.Array, axis_of_x: int, axis_of_y: int, out: Any = jnp.float32
) -> jax.Array:
    return jax.lax.dot_general(
        x,
        y,
        (((axis_of_x,), (axis_of_y,)), ((), ())),
        precision=precision_of(x.dtype),
        preferred_element_type=out,
    )


def _dot(x: jax.Array, kernel_IO: jax.Array, out: Any = jnp.float32) -> jax.Array:
    return _contract(x, kernel_IO, x.ndim - 1, 0, out)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _placed_matmul(
    x: jax.Array,
    kernel_IO: jax.Array,
    dtype: str,
    placement: KernelPlacement | None,
    out_dtype: str,
) -> jax.Array:
    return _dot(x.astype(dtype), _gathered(kernel_IO, dtype, placement), out_dtype)


def _placed_forward(
    x: jax.Array,
    kernel_IO: jax.Array,
    dtype: str,
    placement: KernelPlacement | None,
    out_dtype: str,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
    # Rounded once: this is what the backward pass reads, and half of what it would keep.
    rounded = x.astype(dtype)
    y = _dot(rounded, _gathered(kernel_IO, dtype, placement), out_dtype)
    return y, (rounded, kernel_IO, jnp.zeros((0,), x.dtype))


def _placed_backward(
    dtype: str,
    placement: KernelPlacement | None,
    out_dtype: str,
    saved: tuple[jax.Array, jax.Array, jax.Array],
    grad: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    del out_dtype
    x, kernel_IO, like_x = saved
    grad = grad.astype(dtype)
    grad_x = _contract(
        grad, _gathered(kernel_IO, dtype, placement), grad.ndim - 1, 1, like_x.dtype
    )
    x_MI, grad_MO = (y.reshape(-1, y.shape[-1]) for y in (x, grad))
    grad_kernel = jax.lax.platform_dependent(
        x_MI, grad_MO, cpu=_kernel_gradient_on_cpu, default=_kernel_gradient
    )
    if placement is not None:
        grad_kernel = jax.lax.with_sharding_constraint(grad_kernel, placement.stored)
    return grad_x, grad_kernel.astype(kernel_IO.dtype)


def _gathered(
    kernel_IO: jax.Array, dtype: str, placement: KernelPlacement | None
) -> jax.Array:
    kernel_IO = kernel_IO.astype(dtype)
    if placement is None:
        return kernel_IO
    # Both constraints: else the whole kernel might be gathered before it is rounded.
    kernel_IO = jax.lax.with_sharding_constraint(kernel_IO, placement.stored)
    return jax.lax.with_sharding_constraint(kernel_IO, placement.gathered)


def _kernel_gradient(x_MI: jax.Array, grad_MO: jax.Array) -> jax.Array:
    return _contract(x_MI, grad_MO, 0, 0)


def _kernel_gradient_on_cpu(x_MI: jax.Array, grad_MO: jax.Array) -> jax.Array:
    """The same, with the narrower of both turned, so that tokens are innermost there.

    The CPU's fast kernels take the first input with its summed axis innermost. Left to
    itself XLA may turn the wider one, together with the gradient of the activation that
    made it; and bfloat16 inputs that it wants to turn it widens to float32 first.
    """
    if x_MI.shape[1] > grad_MO.shape[1]:
        return row_major(_kernel_gradient_on_cpu(grad_MO, x_MI)).T
    return row_major(_dot(row_major(x_MI.T), grad_MO))


_placed_matmul.defvjp(_placed_forward, _placed_backward)
