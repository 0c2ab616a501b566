"""A function of params and positions, run by every device on the positions it has.

What the compiler does with a loop over positions of a divided row is to gather them. Here
each device loops over its own; params are gathered once before the loop, and their
gradients are summed over devices once after it.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from simex.sharding.activations import current_mesh, free_axes, without_axes
from simex.sharding.mesh import BATCH_AXES, make_spec

OnPositions = Callable[..., Any]


def run_on_own_positions(
    f: OnPositions,
    param: jax.Array,
    *arrays_BT: jax.Array,
    axes: Sequence[str],
    dtype: str,
) -> Any:
    """f(param, *arrays) where each device has whole `param` and its own [B, T].

    Args:
        f: may loop over positions; every output is [B, T, ...].
        param: one param, in parts; f is given all of it but for parts over `tensor`.
        arrays_BT: divided like a batch.
        axes: logical names of the axes of `param`.
        dtype: in which the param travels; f is given float32 values, rounded to it.
    """
    mesh = current_mesh()
    if mesh is None:
        return f(param, *arrays_BT)
    own = free_axes(mesh) - {"tensor"}
    if all(mesh.shape[axis] == 1 for axis in own):
        # Every device has all positions; and XLA refuses a region whose own axes have
        # one device each beside an axis that is left to it.
        return f(_gather(param, (), dtype), *arrays_BT)
    rows = without_axes(PartitionSpec(BATCH_AXES, "sequence"), own)
    stored = without_axes(make_spec(axes, param.shape, mesh), own)

    def run(param: jax.Array, *arrays_BT: jax.Array) -> Any:
        return f(_gather(param, tuple(stored), dtype), *arrays_BT)

    return jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(stored, *(rows for _ in arrays_BT)),
        out_specs=rows,
        axis_names=own,
        check_vma=False,  # a custom gradient does not say how it varies
    )(param, *arrays_BT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gather(param: jax.Array, spec: tuple[Any, ...], dtype: str) -> jax.Array:
    """The whole param, rounded to `dtype` on its way; its gradient is summed whole."""
    rounded = param.astype(dtype)
    for axis, names in enumerate(spec):
        if names is not None:
            rounded = jax.lax.all_gather(rounded, names, axis=axis, tiled=True)
    return rounded.astype(param.dtype)


def _gather_forward(
    param: jax.Array, spec: tuple[Any, ...], dtype: str
) -> tuple[jax.Array, None]:
    return _gather(param, spec, dtype), None


def _gather_backward(
    spec: tuple[Any, ...], dtype: str, saved: None, grad: jax.Array
) -> tuple[jax.Array]:
    del dtype, saved
    for axis, names in enumerate(spec):
        if names is not None:
            grad = jax.lax.psum_scatter(grad, names, scatter_dimension=axis, tiled=True)
    return (jnp.asarray(grad),)


_gather.defvjp(_gather_forward, _gather_backward)
