"""Attention over a mesh: every device its rows, its heads, and its part of each row.

Heads are divided over `tensor`, rows over the batch axes. Along `sequence` each device
has the queries of its part and gathers the keys and values of the whole row, which with
grouped queries are few; their gradients are summed back into the parts. (A ring would
hold fewer keys at a time and move as many bytes.)
"""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from simex.models.config import ModelConfig
from simex.models.kernels import KERNELS, RowPart
from simex.models.segments import Segments
from simex.models.softmax_attention import Window
from simex.sharding.activations import free_axes, without_axes
from simex.sharding.mesh import BATCH_AXES, platform_of


def attend_on_mesh(
    config: ModelConfig,
    mesh: Mesh,
    q_BTNH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segments: Segments,
    window: Window,
) -> jax.Array:
    """`models.kernels` for the mesh's platform: [B, T, N, H], float32."""
    kernel, free = KERNELS[platform_of(mesh)], free_axes(mesh)
    k_BTKH, v_BTKH, heads = _divide_heads(
        k_BTKH, v_BTKH, num_query_heads=q_BTNH.shape[2], mesh=mesh
    )
    divides_rows = "sequence" in free and mesh.shape["sequence"] > 1

    def attend(
        q: jax.Array, k: jax.Array, v: jax.Array, own: Segments, window: Window
    ) -> jax.Array:
        if not divides_rows:
            return kernel(config, q, k, v, own, own, RowPart(), window)
        where = RowPart(
            part=jax.lax.axis_index("sequence"), num_parts=mesh.shape["sequence"]
        )
        k, v = (x.astype(config.compute_dtype) for x in (k, v))
        k, v, whole = jax.tree.map(
            lambda x: jax.lax.all_gather(x, "sequence", axis=1, tiled=True),
            (k, v, own),
        )
        return kernel(config, q, k, v, own, whole, where, window)

    if not free:
        return attend(q_BTNH, k_BTKH, v_BTKH, segments, window)
    heads_spec = without_axes(PartitionSpec(BATCH_AXES, "sequence", heads, None), free)
    rows_spec = without_axes(PartitionSpec(BATCH_AXES, "sequence"), free)
    is_nested = len(free) < len(mesh.axis_names)
    return jax.shard_map(
        attend,
        mesh=None if is_nested else mesh,
        in_specs=(heads_spec, heads_spec, heads_spec, rows_spec, PartitionSpec()),
        out_specs=heads_spec,
        axis_names=free,
        check_vma=False,  # kernels do not say over which axes their outputs vary
    )(q_BTNH, k_BTKH, v_BTKH, segments, window)


def _divide_heads(
    k_BTKH: jax.Array, v_BTKH: jax.Array, *, num_query_heads: int, mesh: Mesh
) -> tuple[jax.Array, jax.Array, str | None]:
    """Keys and values with at least one head a device, and the axis of heads.

    Where there are fewer kv heads than devices along `tensor`, each is repeated; where
    query heads do not divide, every device computes all of them.
    """
    num_parts, num_kv = mesh.shape["tensor"], k_BTKH.shape[2]
    if num_parts == 1 or num_query_heads % num_parts:
        return k_BTKH, v_BTKH, None
    if num_kv % num_parts == 0:
        return k_BTKH, v_BTKH, "tensor"
    if num_parts % num_kv:
        return k_BTKH, v_BTKH, None
    repeats = num_parts // num_kv
    return (
        jnp.repeat(k_BTKH, repeats, axis=2),
        jnp.repeat(v_BTKH, repeats, axis=2),
        "tensor",
    )
