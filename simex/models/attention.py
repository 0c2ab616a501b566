"""Grouped-query attention over packed rows, and over a cache.

Both functions answer the same question for queries [B, T, N, H]; query head n reads
kv head n // (N / K), and a layer with a window the last positions only. Scores and the
softmax are float32. They differ only in where keys come from, so the decoder takes one
of them as an argument and is otherwise the same.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from simex.models.cache import Cache, LayerCache, from_projections, write_column
from simex.models.config import ModelConfig
from simex.models.kernels import RowPart, blocked_softmax
from simex.models.matmul import precision_of
from simex.models.parallel_attention import attend_on_mesh
from simex.models.segments import Segments
from simex.models.softmax_attention import Window
from simex.sharding.activations import current_mesh

# (layer, queries [B,T,N,H], keys [B,T,K,H], values [B,T,K,H], window) ->
# (outputs [B,T,N,H], what to remember of this layer)
Attend = Callable[
    [int, jax.Array, jax.Array, jax.Array, Window], tuple[jax.Array, LayerCache]
]

_MASKED = -1e30  # finite: a row of padding then softmaxes to numbers, not to NaN


def packed_attention(config: ModelConfig, segments: Segments) -> Attend:
    """Each position sees itself and what came before it in its segment and prefix.

    Remembers the keys and values of the whole row. Padding (segment 0) sees padding;
    its outputs mean nothing.
    """

    def attend(
        layer: int,
        q_BTNH: jax.Array,
        k_BTKH: jax.Array,
        v_BTKH: jax.Array,
        window: Window,
    ) -> tuple[jax.Array, LayerCache]:
        del layer
        mesh = current_mesh()
        if mesh is None:
            out_BTNH = blocked_softmax(
                config,
                q_BTNH,
                k_BTKH,
                v_BTKH,
                segments,
                segments,
                RowPart(),
                window,
            )
        else:
            out_BTNH = attend_on_mesh(
                config, mesh, q_BTNH, k_BTKH, v_BTKH, segments, window
            )
        return out_BTNH, from_projections(k_BTKH, v_BTKH)

    return attend


def cached_attention(
    config: ModelConfig,
    *,
    prefix: Cache,
    lengths_B: jax.Array,
    recent: Cache,
    column: jax.Array,
) -> Attend:
    """One new position a row sees its prefix and the recent positions up to itself.

    Args:
        config: of the decoder.
        prefix: read only; row b has `lengths_B[b]` valid positions.
        lengths_B: int32.
        recent: the buffer of the current chunk; columns before `column` are valid.
        column: where the new position is written.

    Remembers the recent buffer with the new position in it.
    """
    num_prefix = prefix[0].v_BKSH.shape[2]
    num_recent = recent[0].v_BKSH.shape[2]
    slots_111S = jnp.arange(num_prefix)[None, None, None, :]
    columns_111S = jnp.arange(num_recent)[None, None, None, :]
    lengths_B111 = lengths_B[:, None, None, None]

    def visible(window: Window) -> tuple[jax.Array, jax.Array]:
        in_prefix = slots_111S < lengths_B111
        in_recent = columns_111S <= column
        if window is not None:
            in_prefix &= lengths_B111 + column - slots_111S < window
            in_recent &= column - columns_111S < window
        return in_prefix, in_recent

    def attend(
        layer: int,
        q_B1NH: jax.Array,
        k_B1KH: jax.Array,
        v_B1KH: jax.Array,
        window: Window,
    ) -> tuple[jax.Array, LayerCache]:
        in_prefix, in_recent = visible(window)
        old, new = prefix[layer], write_column(recent[layer], k_B1KH, v_B1KH, column)
        queries = _stack_groups(q_B1NH, config) * config.head_dim**-0.5
        scores = jnp.concatenate(
            [
                jnp.where(in_prefix, _cache_scores(queries, old), _MASKED),
                jnp.where(in_recent, _cache_scores(queries, new), _MASKED),
            ],
            axis=-1,
        )
        weights = jax.nn.softmax(scores, axis=-1)
        out = _cache_values(weights[..., :num_prefix], old)
        out += _cache_values(weights[..., num_prefix:], new)
        return _unstack_groups(out, config), new

    return attend


def _stack_groups(q_BTNH: jax.Array, config: ModelConfig) -> jax.Array:
    B, T, _, H = q_BTNH.shape
    q_BTKGH = q_BTNH.reshape(B, T, config.num_kv_heads, -1, H)
    return q_BTKGH.transpose(0, 2, 3, 1, 4).reshape(B, config.num_kv_heads, -1, H)


def _unstack_groups(out_BKQH: jax.Array, config: ModelConfig) -> jax.Array:
    groups = config.num_query_heads // config.num_kv_heads
    B, K, Q, H = out_BKQH.shape
    out = out_BKQH.reshape(B, K, groups, Q // groups, H).transpose(0, 3, 1, 2, 4)
    return out.reshape(B, Q // groups, K * groups, H)


def _cache_scores(queries_BKGH: jax.Array, layer: LayerCache) -> jax.Array:
    # In the cache's type: to widen a cache would read and write it once more.
    return jnp.einsum(
        "bkgh,bkhs->bkgs",
        queries_BKGH.astype(layer.k_BKHS.dtype),
        layer.k_BKHS,
        precision=precision_of(layer.k_BKHS.dtype),
        preferred_element_type=jnp.float32,
    )


def _cache_values(weights_BKGS: jax.Array, layer: LayerCache) -> jax.Array:
    return jnp.einsum(
        "bkgs,bksh->bkgh",
        weights_BKGS.astype(layer.v_BKSH.dtype),
        layer.v_BKSH,
        precision=precision_of(layer.v_BKSH.dtype),
        preferred_element_type=jnp.float32,
    )
