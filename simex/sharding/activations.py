"""Where activations and gathered kernels lie while a program is traced.

A model names the axes of what it computes and knows no mesh. Whoever compiles a program
for a mesh traces it inside `placed(mesh)`; outside, and so on one device, nothing is
constrained.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from simex.sharding.mesh import DECODE_RULES, make_spec

_MESH: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar(
    "mesh", default=None
)


class KernelPlacement(NamedTuple):
    """Where a param lies between its uses, and where while it is multiplied."""

    stored: NamedSharding  # divided over all devices
    gathered: NamedSharding  # divided over `tensor` only


@contextlib.contextmanager
def placed(mesh: Mesh) -> Iterator[None]:
    """While this lasts, what is traced is placed on `mesh`."""
    token = _MESH.set(mesh)
    try:
        yield
    finally:
        _MESH.reset(token)


def current_mesh() -> Mesh | None:
    """The mesh of the program that is being traced; None for one device."""
    return _MESH.get()


def free_axes(mesh: Mesh) -> frozenset[str]:
    """Mesh axes that are the compiler's; those of an outer `shard_map` are not."""
    manual = jax.sharding.get_abstract_mesh().manual_axes
    return frozenset(mesh.axis_names) - frozenset(manual)


def without_axes(spec: PartitionSpec, kept: frozenset[str]) -> PartitionSpec:
    """The spec with the mesh axes that are in `kept` only."""

    def strip(axes: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if axes is None or isinstance(axes, str):
            return axes if axes in kept else None
        left = tuple(axis for axis in axes if axis in kept)
        return left or None

    return PartitionSpec(*map(strip, spec))


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
    """`x` with its axes where the rules put axes of these names."""
    mesh = current_mesh()
    if mesh is None or len(free_axes(mesh)) < len(mesh.axis_names):
        return x  # inside an outer shard_map each device has its own rows already
    spec = make_spec(names, x.shape, mesh)
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


def place_kernel(
    axes: Sequence[str | None], shape: Sequence[int]
) -> KernelPlacement | None:
    """The two places of a param, None where they are one."""
    mesh = current_mesh()
    if mesh is None or len(free_axes(mesh)) < len(mesh.axis_names):
        return None
    stored = make_spec(axes, shape, mesh)
    gathered = make_spec(axes, shape, mesh, rules=DECODE_RULES)
    if stored == gathered:
        return None
    return KernelPlacement(NamedSharding(mesh, stored), NamedSharding(mesh, gathered))
