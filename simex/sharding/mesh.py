"""The device mesh, and the rules that place named array axes on it.

A param declares logical axes ("embed", "mlp", ...) where it is made; only the table
below knows mesh axes. All mesh axes are of type Auto: under explicit axis types
`nn.with_logical_constraint` is an assertion and gathers need an output sharding.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from simex.core.errors import UserError

MESH_AXES = ("data", "fsdp", "tensor")
BATCH_AXES = ("data", "fsdp")  # the mesh axes over which rows of a batch are divided

Rules = tuple[tuple[str, str | tuple[str, ...] | None], ...]

TRAIN_RULES: Rules = (
    ("batch", BATCH_AXES),
    ("embed", "fsdp"),
    ("heads", "tensor"),
    ("kv_heads", "tensor"),
    ("mlp", "tensor"),
    ("vocab", "tensor"),
    ("experts", None),
    ("layers", None),
    ("norm", None),
    ("head_dim", None),
)
# Decoding reads every param at every step, so no device may have to ask for a part.
DECODE_RULES: Rules = tuple(
    (name, None if axis == "fsdp" else axis) for name, axis in TRAIN_RULES
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Sizes of the mesh axes; exactly one may be -1, "all devices that are left"."""

    data: int = -1
    fsdp: int = 1
    tensor: int = 1


def make_mesh(
    config: MeshConfig | None = None, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """The mesh (data, fsdp, tensor) over `devices` (default: all of them).

    Raises UserError when the sizes do not multiply to the number of devices.
    """
    devices = list(jax.devices() if devices is None else devices)
    config = MeshConfig() if config is None else config
    sizes = [config.data, config.fsdp, config.tensor]
    shape = f"data={config.data}, fsdp={config.fsdp}, tensor={config.tensor}"
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise UserError(
            "Mesh sizes must be positive, and at most one may be -1 (the devices "
            f"that are left), but they are {shape}. Name the other sizes."
        )
    named = math.prod(size for size in sizes if size != -1)
    sizes = [len(devices) // named if size == -1 else size for size in sizes]
    if math.prod(sizes) != len(devices):
        raise UserError(
            f"Mesh sizes must multiply to the number of devices, {len(devices)}, but "
            f"they are {shape}. Change a size or the number of devices."
        )
    return jax.make_mesh(
        tuple(sizes), MESH_AXES, axis_types=(AxisType.Auto,) * 3, devices=devices
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of a value that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows (the first axis) divided over the data and fsdp axes."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def num_batch_shards(mesh: Mesh) -> int:
    """Into how many parts the rows of a batch are divided."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def make_shardings(boxed: Any, mesh: Mesh, *, rules: Rules = TRAIN_RULES) -> Any:
    """Shardings of a tree whose leaves may carry logical axis names.

    Args:
        boxed: arrays or shapes, some boxed by `nn.with_logical_partitioning`, as from
            `jax.eval_shape`; unboxed leaves are replicated. Optimizer moments made by
            `tx.init` on boxed params keep their boxes, so they shard like the params.
        mesh: from `make_mesh`.
        rules: where each logical axis goes.

    Returns:
        The same tree, unboxed, of NamedSharding. An axis that its mesh axis does not
        divide (one kv head over two tensor devices) is replicated instead.
    """

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, nn.LogicallyPartitioned):
            return replicated(mesh)
        if not hasattr(leaf.value, "shape"):
            return leaf.value  # optax's placeholder for "this part has no moment here"
        spec = nn.logical_to_mesh_axes(leaf.names, rules)
        axes = [
            axis if axis is None or size % _num_parts(axis, mesh) == 0 else None
            for axis, size in zip(spec, leaf.value.shape)
        ]
        return NamedSharding(mesh, PartitionSpec(*axes))

    is_box = lambda leaf: isinstance(leaf, nn.LogicallyPartitioned)
    return jax.tree.map(place, boxed, is_leaf=is_box)


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Places host arrays [B, ...] on the mesh, rows divided over the batch axes.

    Raises UserError when the rows do not divide.
    """
    shards = num_batch_shards(mesh)
    for name, array in batch.items():
        if array.shape[0] % shards:
            raise UserError(
                f"The rows of a batch must divide over {shards} devices, but "
                f"`{name}` has {array.shape[0]} rows. Use a multiple of {shards}."
            )
    return jax.device_put(batch, batch_sharding(mesh))


def _num_parts(axis: str | tuple[str, ...], mesh: Mesh) -> int:
    axes = (axis,) if isinstance(axis, str) else axis
    return math.prod(mesh.shape[name] for name in axes)
