"""The decoder, and the pure functions through which everything else uses it.

Params are a plain nested dict: `embedder/embedding [V, D]`, `layer_0/attention/q/kernel
[D, N*H]`, ..., `final_norm/scale [D]`, and `head/kernel [D, V]` unless tied. Kernels are
matrices [in, out] also where heads could be an axis of their own, because Muon
orthogonalises matrices; those of experts are stacks [E, in, out]. With `scan_layers` all
layers are one stack, `layers/attention/q/kernel [L, D, N*H]`; `models.layout` converts.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from simex.models.attention import Attend, cached_attention, packed_attention
from simex.models.cache import Cache, LayerCache
from simex.models.config import ModelConfig
from simex.models.embedding import embed
from simex.models.layers import RESIDUAL, Block, Projection, RMSNorm
from simex.models.matmul import matmul
from simex.models.rope import rope_angles
from simex.models.segments import Segments, can_share_prefixes
from simex.models.softmax_attention import Window
from simex.sharding.activations import constrain

Params = dict[str, Any]

_ALL = 2**30  # as a window: wider than any row
_NEVER = -1e20  # as a logit: its probability is 0, and finite, as 0 times it must be
_REMAT_POLICIES: dict[str, Any] = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


Angles = tuple[jax.Array, jax.Array]  # (cos, sin), each float32 [B, T, H/2]


class Embedder(nn.Module):
    """Token vectors; with tied embeddings also the output layer."""

    config: ModelConfig

    def setup(self) -> None:
        """Declares `embedding` [V, D]."""
        init = nn.with_logical_partitioning(
            nn.initializers.normal(0.02), ("vocab", "embed")
        )
        shape = (self.config.vocab_size, self.config.d_model)
        self.embedding = self.param("embedding", init, shape)

    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        """[B, T] -> [B, T, D]."""
        return constrain(embed(self.embedding, tokens_BT), *RESIDUAL)

    def logits(self, hidden: jax.Array) -> jax.Array:
        """[..., D] -> [..., V]."""
        return matmul(
            hidden,
            self.embedding.T,
            compute_dtype=self.config.compute_dtype,
            axes=("embed", "vocab"),
        )


class Decoder(nn.Module):
    """All layers; how positions see each other is decided by `attend`."""

    config: ModelConfig

    def setup(self) -> None:
        """Declares embedder, layers, final norm and the untied head."""
        config = self.config
        self.embedder = Embedder(config)
        if config.scan_layers:
            self.stack = Block(config, 0, name="layers")  # stacked by the scan
        else:
            self.layers = [
                Block(config, layer, name=f"layer_{layer}")
                for layer in range(config.num_layers)
            ]
        self.final_norm = RMSNorm(config.norm_eps)
        if not config.tie_embeddings:
            self.head = Projection(
                config.vocab_size, ("embed", "vocab"), config.compute_dtype
            )

    def __call__(
        self, tokens_BT: jax.Array, angles: Angles, attend: Attend
    ) -> tuple[jax.Array, Cache]:
        """Returns hidden [B, T, D] after the final norm, and each layer's memory.

        Scanned layers remember nothing: decoding runs them one by one.
        """
        config = self.config
        x_BTD = self.embedder(tokens_BT)
        apply_block = _rematerialised(config, angles, attend)
        if config.scan_layers:
            return self.final_norm(self._scan(apply_block, x_BTD)), ()
        kept = []
        for number, layer in enumerate(self.layers):
            x_BTD, remembered = apply_block(layer, x_BTD, config.window_of(number))
            kept.append(remembered)
        return self.final_norm(x_BTD), tuple(kept)

    def _scan(self, apply_block: Callable[..., Any], x_BTD: jax.Array) -> jax.Array:
        config = self.config
        windows_L = None
        if any(config.windows):
            windows_L = jnp.array([_ALL if w is None else w for w in config.windows])
        scan = nn.scan(
            lambda block, x, window: (apply_block(block, x, window)[0], None),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=config.num_layers,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        return scan(self.stack, x_BTD, windows_L)[0]

    def logits(self, hidden: jax.Array) -> jax.Array:
        """[..., D] -> float32 [..., V]; rows that are no ids are never likely.

        Sampler and trainer both ask here, so their distributions are the same.
        """
        tied = self.config.tie_embeddings
        of_rows = self.embedder.logits(hidden) if tied else self.head(hidden)
        num_ids = self.config.num_ids
        if num_ids in (None, self.config.vocab_size):
            return of_rows
        rows = jax.lax.broadcasted_iota(jnp.int32, of_rows.shape, of_rows.ndim - 1)
        return jnp.where(rows < num_ids, of_rows, _NEVER)

    def hidden_and_logits(
        self, tokens_BT: jax.Array, angles: Angles, attend: Attend
    ) -> jax.Array:
        """Touches every param; only used to declare them."""
        return self.logits(self(tokens_BT, angles, attend)[0])


@functools.partial(jax.jit, static_argnums=0, static_argnames="boxed")
def init_params(config: ModelConfig, key: jax.Array, *, boxed: bool = False) -> Params:
    """Fresh float32 params; with `boxed`, leaves carry their logical axis names."""
    tokens = jnp.zeros((1, 1), jnp.int32)
    variables = Decoder(config).init(
        key,
        tokens,
        _angles(config, tokens, tokens),
        packed_attention(config, Segments(tokens)),
        method=Decoder.hidden_and_logits,
    )
    params = variables["params"]
    return params if boxed else nn.meta.unbox(params)


def forward(
    config: ModelConfig,
    params: Params,
    *,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
    prefix_ids_BT: jax.Array | None = None,
) -> jax.Array:
    """Packed rows -> hidden [B, T, D]; a position sees its own segment's past only.

    With `prefix_ids_BT` also the segment of that id, which must lie before its own:
    several sequences go on from one beginning.

    Raises:
        ValueError: there are prefixes, and a layer could not heed them
            (`can_share_prefixes`).
    """
    if prefix_ids_BT is not None and not can_share_prefixes(config, "cpu"):
        raise ValueError(
            "Sequences must not share their beginnings in a model with windows or a "
            "dynamic RoPE scaling: see can_share_prefixes. Pack them apart."
        )
    attend = packed_attention(config, Segments(segment_ids_BT, prefix_ids_BT))
    lengths_BT = _segment_lengths(config, segment_ids_BT, positions_BT)
    angles = _angles(config, positions_BT, lengths_BT)
    return _apply(config, params, tokens_BT, angles, attend)[0]


def prefill(
    config: ModelConfig,
    params: Params,
    *,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
) -> Cache:
    """Packed rows -> keys and values of every position, in the packed layout."""
    attend = packed_attention(config, Segments(segment_ids_BT))
    lengths_BT = _segment_lengths(config, segment_ids_BT, positions_BT)
    angles = _angles(config, positions_BT, lengths_BT)
    return _apply(config, params, tokens_BT, angles, attend)[1]


def decode(
    config: ModelConfig,
    params: Params,
    *,
    tokens_B: jax.Array,
    prefix: Cache,
    lengths_B: jax.Array,
    recent: Cache,
    column: jax.Array,
) -> tuple[jax.Array, Cache]:
    """One token a row, at position lengths_B + column -> (hidden [B, D], recent).

    `cached_attention` explains prefix and recent.
    """
    attend = cached_attention(
        config, prefix=prefix, lengths_B=lengths_B, recent=recent, column=column
    )
    positions_BT = (lengths_B + column)[:, None]
    angles = _angles(config, positions_BT, positions_BT + 1)
    hidden_B1D, recent = _apply(config, params, tokens_B[:, None], angles, attend)
    return hidden_B1D[:, 0], recent


def logits(config: ModelConfig, params: Params, hidden: jax.Array) -> jax.Array:
    """hidden [..., D] -> float32 logits [..., V]."""
    return Decoder(config).apply({"params": params}, hidden, method=Decoder.logits)


def output_kernel(
    config: ModelConfig, params: Params
) -> tuple[tuple[str, str], jax.Array, tuple[str, str]]:
    """The one param that `logits` reads: its path, itself, its logical axes."""
    if config.tie_embeddings:
        path, axes = ("embedder", "embedding"), ("vocab", "embed")
    else:
        path, axes = ("head", "kernel"), ("embed", "vocab")
    return path, params[path[0]][path[1]], axes


def _apply(
    config: ModelConfig,
    params: Params,
    tokens_BT: jax.Array,
    angles: Angles,
    attend: Attend,
) -> tuple[jax.Array, Cache]:
    return Decoder(config).apply({"params": params}, tokens_BT, angles, attend)


def _rematerialised(
    config: ModelConfig, angles: Angles, attend: Attend
) -> Callable[[Block, jax.Array, Window], tuple[jax.Array, LayerCache]]:
    """Applies a block; its backward pass computes again what the policy keeps not."""

    def apply_block(
        block: Block, x_BTD: jax.Array, window: Window
    ) -> tuple[jax.Array, LayerCache]:
        return block(x_BTD, angles, attend, window)

    if config.remat == "none":
        return apply_block
    policy = _REMAT_POLICIES[config.remat]

    def apply_again(
        block: Block, x_BTD: jax.Array, window: Window
    ) -> tuple[jax.Array, LayerCache]:
        run = nn.remat(
            lambda block, x: apply_block(block, x, window),
            policy=policy,
            prevent_cse=not config.scan_layers,  # a loop already keeps them apart
        )
        return run(block, x_BTD)

    return apply_again


def _angles(
    config: ModelConfig, positions_BT: jax.Array, lengths_BT: jax.Array | None
) -> Angles:
    return rope_angles(
        positions_BT,
        head_dim=config.head_dim,
        theta=config.rope_theta,
        scaling=config.rope_scaling,
        lengths_BT=lengths_BT,
    )


def _segment_lengths(
    config: ModelConfig, segment_ids_BT: jax.Array, positions_BT: jax.Array
) -> jax.Array | None:
    """The length of the segment around each position, for scalings that read it."""
    if config.rope_scaling.kind != "dynamic":
        return None
    same_BTS = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
    return 1 + jnp.max(jnp.where(same_BTS, positions_BT[:, None, :], 0), axis=-1)
