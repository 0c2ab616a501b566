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
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from simex.core.errors import UserError
from simex.sharding.processes import usable_devices

_AUTO = (AxisType.Auto,) * 5
# Outermost first. Between `slices` lies the data-centre network: only gradients cross it,
# once an update. `tensor` is innermost, where links are fastest and traffic is densest.
MESH_AXES = ("slices", "data", "fsdp", "sequence", "tensor")
# The mesh axes over which rows of a train batch are divided; positions of a row are
# divided over `sequence`.
BATCH_AXES = ("slices", "data", "fsdp")
# Decoding has one position a row at a time, so there `sequence` divides rows too.
DECODE_AXES = (*BATCH_AXES, "sequence")

Rules = tuple[tuple[str, str | tuple[str, ...] | None], ...]

# Params are divided over all devices that would else hold the same copy: those of a row
# and those of its positions (fully sharded data parallelism).
TRAIN_RULES: Rules = (
    ("batch", BATCH_AXES),
    ("positions", "sequence"),
    ("width", None),  # of an activation; the same axis of a param is "embed"
    ("embed", ("fsdp", "sequence")),
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
    (name, None if name == "embed" else axis) for name, axis in TRAIN_RULES
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Sizes of the mesh axes; exactly one may be -1, "all devices that are left".

    Example: ``MeshConfig(slices=2, fsdp=32, sequence=2, data=-1)`` on two slices of 64.
    """

    slices: int = 1  # of a TPU pod each, over the data-centre network
    data: int = -1
    fsdp: int = 1
    sequence: int = 1  # parts of a row: for contexts that no device could hold
    tensor: int = 1


def make_mesh(
    config: MeshConfig | None = None,
    devices: Sequence[jax.Device] | None = None,
    *,
    decode_together: int = 1,
) -> Mesh:
    """The mesh (slices, data, fsdp, sequence, tensor) over `devices`.

    By default those of all processes of the run. With `decode_together` above 1 the
    devices along `sequence` and `tensor` are put in the order of processes, so that so
    many neighbours belong to one where they can (see `make_decode_mesh`).

    Raises UserError when the sizes do not multiply to the number of devices, or when
    `slices` is not the number of slices that the devices form.
    """
    devices = list(usable_devices() if devices is None else devices)
    config = MeshConfig() if config is None else config
    sizes = [getattr(config, axis) for axis in MESH_AXES]
    shape = ", ".join(f"{axis}={size}" for axis, size in zip(MESH_AXES, sizes))
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
    num_slices = len({getattr(device, "slice_index", 0) for device in devices})
    if num_slices == 1:  # one slice, or devices that do not know of slices
        # An axis of the mesh may be half of an axis of the torus: 2 of 4 x 4 x 8.
        array = mesh_utils.create_device_mesh(
            tuple(sizes), devices, allow_split_physical_axes=True
        )
        if decode_together > 1:
            array = _in_order_of_processes(array)
        return Mesh(array, MESH_AXES, axis_types=_AUTO)
    if sizes[0] != num_slices:
        raise UserError(
            f"MeshConfig.slices must be {num_slices}, the number of slices that the "
            f"devices form, but the sizes are {shape}."
        )
    array = mesh_utils.create_hybrid_device_mesh(
        (1, *sizes[1:]),
        (num_slices, *(1 for _ in sizes[1:])),
        devices=devices,
        allow_split_physical_axes=True,
    )
    if decode_together > 1:
        array = _in_order_of_processes(array)
    return Mesh(array, MESH_AXES, axis_types=_AUTO)


def _in_order_of_processes(devices: np.ndarray) -> np.ndarray:
    """The same devices at each place of the outer axes, sorted along the inner two."""
    inner = devices.shape[-2:]
    rows = [
        sorted(row, key=lambda device: (device.process_index, device.id))
        for row in devices.reshape(-1, math.prod(inner))
    ]
    ordered = np.empty(devices.size, object)
    ordered[:] = [device for row in rows for device in row]
    return ordered.reshape(devices.shape)


def make_decode_mesh(mesh: Mesh, *, tensor: int) -> Mesh:
    """The same devices for decoding: groups of `tensor` neighbours, each a replica.

    Every group holds all params and decodes rows of its own, so that nothing is
    exchanged but inside a group. The order of devices is that of `mesh`: a compiled
    program can then read params in the layout of one and write them in the other's.
    Raises UserError when `tensor` does not divide the number of devices.
    """
    if tensor < 1 or mesh.size % tensor:
        raise UserError(
            f"Devices that decode together must divide the {mesh.size} devices, but "
            f"they are {tensor}."
        )
    sizes = {axis: 1 for axis in MESH_AXES} | {
        "data": mesh.size // tensor,
        "tensor": tensor,
    }
    return Mesh(
        mesh.devices.reshape(tuple(sizes.values())), MESH_AXES, axis_types=_AUTO
    )


def platform_of(mesh: Mesh) -> str:
    """For what its programs are compiled: "cpu", "gpu" or "tpu".

    Not `jax.default_backend()`: a CPU compiles for a TPU that it does not have.
    """
    return mesh.devices.flat[0].platform


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of a value that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Of arrays [B, T]: rows over the batch axes, positions over `sequence`."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES, "sequence"))


def num_batch_shards(mesh: Mesh) -> int:
    """Into how many parts the rows of a train batch are divided."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def num_decode_shards(mesh: Mesh) -> int:
    """Into how many parts the rows that decode together are divided."""
    return math.prod(mesh.shape[axis] for axis in DECODE_AXES)


def make_shardings(boxed: Any, mesh: Mesh, *, rules: Rules = TRAIN_RULES) -> Any:
    """Shardings of a tree whose leaves may carry logical axis names.

    Args:
        boxed: arrays or shapes, some boxed by `nn.with_logical_partitioning`, as from
            `jax.eval_shape`; unboxed leaves are replicated. Optimizer moments made by
            `tx.init` on boxed params keep their boxes, so they shard like the params.
        mesh: from `make_mesh`.
        rules: where each logical axis goes.

    Returns:
        The same tree, unboxed, of NamedSharding. Mesh axes that do not divide an axis
        (one kv head over two tensor devices) are left out, the last ones first.
    """

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, nn.LogicallyPartitioned):
            return replicated(mesh)
        if not hasattr(leaf.value, "shape"):
            return leaf.value  # optax's placeholder for "this part has no moment here"
        return NamedSharding(
            mesh, make_spec(leaf.names, leaf.value.shape, mesh, rules=rules)
        )

    is_box = lambda leaf: isinstance(leaf, nn.LogicallyPartitioned)
    return jax.tree.map(place, boxed, is_leaf=is_box)


def make_spec(
    names: Sequence[str | None],
    shape: Sequence[int],
    mesh: Mesh,
    *,
    rules: Rules = TRAIN_RULES,
) -> PartitionSpec:
    """Where an array with these logical axes and sizes lies, by the rules."""
    spec = nn.logical_to_mesh_axes(tuple(names), rules)
    return PartitionSpec(
        *(_fitting(axes, size, mesh) for axes, size in zip(spec, shape))
    )


def _fitting(
    axes: str | tuple[str, ...] | None, size: int, mesh: Mesh
) -> str | tuple[str, ...] | None:
    """The first of `axes` that together divide `size`; those of one device say nothing."""
    if axes is None:
        return None
    named = (axes,) if isinstance(axes, str) else axes
    kept = tuple(axis for axis in named if mesh.shape[axis] > 1)
    while kept and size % math.prod(mesh.shape[axis] for axis in kept):
        kept = kept[:-1]
    return kept[0] if len(kept) == 1 else kept or None


def put_batch(
    batch: dict[str, np.ndarray],
    mesh: Mesh,
    *,
    first_row: int = 0,
    num_rows: int | None = None,
) -> dict[str, jax.Array]:
    """Places host arrays [B, T] on the mesh, rows and positions divided.

    Args:
        batch: all rows, or those that this process read.
        mesh: from `make_mesh`.
        first_row: where `batch` begins among the rows of all processes.
        num_rows: of all processes; None: those of `batch`.

    Raises UserError when they do not divide, or when a device of this process needs
    rows that the process did not read.
    """
    for name, array in batch.items():
        require_division(name, (num_rows or array.shape[0], *array.shape[1:]), mesh)
    sharding = batch_sharding(mesh)
    if sharding.is_fully_addressable:
        return jax.device_put(batch, sharding)
    return {
        name: _put_own_rows(array, sharding, first_row, num_rows or array.shape[0])
        for name, array in batch.items()
    }


def _put_own_rows(
    array: np.ndarray, sharding: NamedSharding, first_row: int, num_rows: int
) -> jax.Array:
    def take(index: Any) -> np.ndarray:
        start, stop, _ = index[0].indices(num_rows)
        if start < first_row or stop > first_row + len(array):
            raise UserError(
                f"A device of this process needs rows {start} to {stop}, but the process "
                f"read rows {first_row} to {first_row + len(array)}. Set data_parts=1, "
                "or choose mesh sizes that keep rows within a process."
            )
        return array[(slice(start - first_row, stop - first_row), *index[1:])]

    shape = (num_rows, *array.shape[1:])
    return jax.make_array_from_callback(shape, sharding, take)


def require_division(name: str, shape: Sequence[int], mesh: Mesh) -> None:
    """Raises UserError for a batch [B, T] that does not divide over the mesh."""
    parts = {"rows": num_batch_shards(mesh), "positions": mesh.shape["sequence"]}
    for (what, shards), size in zip(parts.items(), shape):
        if size % shards:
            raise UserError(
                f"The {what} of a batch must divide over {shards} devices, but "
                f"`{name}` has {size} {what}. Use a multiple of {shards}."
            )
