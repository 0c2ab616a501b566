"""Decoding on the devices of one process, whatever the mesh of training.

While rows are decoded, processes ask nothing of each other: each holds whole replicas of
the params and decodes rows of its own at its own pace.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from simex.core.errors import UserError
from simex.sharding.mesh import DECODE_AXES, MESH_AXES


def own_part(mesh: Mesh) -> Mesh:
    """The replicas of `mesh` that lie on devices of this process.

    Raises UserError where a group of devices that decode together (the axis `tensor`)
    belongs to several processes.
    """
    here = jax.process_index()
    if all(device.process_index == here for device in mesh.devices.flat):
        return mesh
    groups = mesh.devices.reshape(-1, mesh.shape["tensor"])
    owners = [{device.process_index for device in group} for group in groups]
    if any(len(processes) > 1 for processes in owners):
        raise UserError(
            f"The {mesh.shape['tensor']} devices that decode together must belong to "
            "one process. Decode on fewer of them."
        )
    own = np.stack([g for g, owner in zip(groups, owners) if owner == {here}])
    sizes = {axis: 1 for axis in MESH_AXES}
    sizes |= {"data": len(own), "tensor": mesh.shape["tensor"]}
    axis_types = (AxisType.Auto,) * len(MESH_AXES)
    return Mesh(own.reshape(tuple(sizes.values())), MESH_AXES, axis_types=axis_types)


def decode_sharding(mesh: Mesh) -> NamedSharding:
    """Of what decoding keeps: rows over all axes but `tensor`."""
    return NamedSharding(mesh, PartitionSpec(DECODE_AXES))


def cache_sharding(mesh: Mesh, num_kv_heads: int) -> NamedSharding:
    """Of keys and values [B, K, ...]: also the heads are divided, where they divide."""
    tensor = mesh.shape["tensor"]
    heads = "tensor" if tensor > 1 and num_kv_heads % tensor == 0 else None
    return NamedSharding(mesh, PartitionSpec(DECODE_AXES, *([heads] if heads else [])))


def keep_own(tree: Any, shardings: Any) -> Any:
    """The same values on this process's part of the mesh; nothing is copied.

    Args:
        tree: arrays on a whole mesh, of which this process holds whole replicas.
        shardings: of the result, on `own_part` of that mesh.
    """

    def keep(array: jax.Array, sharding: jax.sharding.NamedSharding) -> jax.Array:
        held = {shard.device: shard.data for shard in array.addressable_shards}
        return jax.make_array_from_single_device_arrays(
            array.shape, sharding, [held[d] for d in sharding.mesh.devices.flat]
        )

    return jax.tree.map(keep, tree, shardings)
