"""The decoder, and the pure functions through which everything else uses it.

Params are a plain nested dict: `embedder/embedding [V, D]`, `layer_0/attention/q/kernel
[D, N*H]`, ..., `final_norm/scale [D]`, and `head/kernel [D, V]` unless tied. Kernels are
matrices [in, out] also where heads could be an axis of their own, because Muon
orthogonalises matrices. Linen declares them with logical axis names.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from simex.models.attention import Attend, cached_attention, packed_attention
from simex.models.cache import Cache, LayerCache
from simex.models.config import ModelConfig
from simex.models.embedding import embed
from simex.models.matmul import matmul
from simex.models.rope import apply_rope, rope_angles

Params = dict[str, Any]


class RMSNorm(nn.Module):
    """x / rms(x) * scale in float32 (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    epsilon: float
    axis_name: str = "norm"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises the last axis; same shape."""
        init = nn.with_logical_partitioning(nn.initializers.ones, (self.axis_name,))
        scale = self.param("scale", init, (x.shape[-1],))
        mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        scale = jnp.expand_dims(scale, range(x.ndim - 1))
        return x * jax.lax.rsqrt(mean_square + self.epsilon) * scale


class Projection(nn.Module):
    """x @ kernel [in, out], and a bias where asked."""

    features: int
    axes: tuple[str, str]
    compute_dtype: str
    use_bias: bool = False
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., out]."""
        init = nn.initializers.variance_scaling(self.gain**2, "fan_in", "normal")
        kernel_IO = self.param(
            "kernel",
            nn.with_logical_partitioning(init, self.axes),
            (x.shape[-1], self.features),
        )
        y = matmul(x, kernel_IO, compute_dtype=self.compute_dtype)
        if self.use_bias:
            zeros = nn.with_logical_partitioning(nn.initializers.zeros, self.axes[1:])
            bias = self.param("bias", zeros, (self.features,))
            y += jnp.expand_dims(bias, range(y.ndim - 1))
        return y


class Attention(nn.Module):
    """Projections, optional qk-norm, rotary positions, `attend`, output projection."""

    config: ModelConfig
    layer: int

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, angles: tuple[jax.Array, jax.Array], attend: Attend
    ) -> tuple[jax.Array, LayerCache]:
        """Returns what to add to the residual, and what to remember."""
        config = self.config
        q_BTNH = self._heads("q", x_BTD, config.num_query_heads, "heads")
        k_BTKH = self._heads("k", x_BTD, config.num_kv_heads, "kv_heads")
        v_BTKH = self._heads("v", x_BTD, config.num_kv_heads, "kv_heads")
        if config.qk_norm:
            q_BTNH = RMSNorm(config.norm_eps, "head_dim", name="q_norm")(q_BTNH)
            k_BTKH = RMSNorm(config.norm_eps, "head_dim", name="k_norm")(k_BTKH)
        q_BTNH, k_BTKH = apply_rope(q_BTNH, angles), apply_rope(k_BTKH, angles)
        out_BTNH, kept = attend(self.layer, q_BTNH, k_BTKH, v_BTKH)
        out = Projection(
            config.d_model,
            ("heads", "embed"),
            config.compute_dtype,
            gain=_residual_gain(config),
            name="o",
        )(out_BTNH.reshape(*out_BTNH.shape[:2], -1))
        return out, kept

    def _heads(self, name: str, x: jax.Array, num_heads: int, axis: str) -> jax.Array:
        flat = Projection(
            num_heads * self.config.head_dim,
            ("embed", axis),
            self.config.compute_dtype,
            use_bias=self.config.qkv_bias,
            name=name,
        )(x)
        return flat.reshape(*flat.shape[:2], num_heads, self.config.head_dim)


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate x) * up x) (Shazeer 2020, arXiv 2002.05202)."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        config, dtype = self.config, self.config.compute_dtype
        gate = Projection(config.d_ff, ("embed", "mlp"), dtype, name="gate")(x_BTD)
        up = Projection(config.d_ff, ("embed", "mlp"), dtype, name="up")(x_BTD)
        return Projection(
            config.d_model,
            ("mlp", "embed"),
            dtype,
            gain=_residual_gain(config),
            name="down",
        )(nn.silu(gate) * up)


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm, on a residual."""

    config: ModelConfig
    layer: int

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, angles: tuple[jax.Array, jax.Array], attend: Attend
    ) -> tuple[jax.Array, LayerCache]:
        """Returns the residual after the layer, and what to remember."""
        config = self.config
        normed = RMSNorm(config.norm_eps, name="attention_norm")(x_BTD)
        out, kept = Attention(config, self.layer, name="attention")(
            normed, angles, attend
        )
        x_BTD += out
        normed = RMSNorm(config.norm_eps, name="feed_forward_norm")(x_BTD)
        return x_BTD + FeedForward(config, name="feed_forward")(normed), kept


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
        return embed(self.embedding, tokens_BT)

    def logits(self, hidden: jax.Array) -> jax.Array:
        """[..., D] -> [..., V]."""
        return matmul(hidden, self.embedding.T, compute_dtype=self.config.compute_dtype)


class Decoder(nn.Module):
    """All layers; how positions see each other is decided by `attend`."""

    config: ModelConfig

    def setup(self) -> None:
        """Declares embedder, layers, final norm and the untied head."""
        config = self.config
        self.embedder = Embedder(config)
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
        self, tokens_BT: jax.Array, positions_BT: jax.Array, attend: Attend
    ) -> tuple[jax.Array, Cache]:
        """Returns hidden [B, T, D] after the final norm, and each layer's memory."""
        config = self.config
        x_BTD = self.embedder(tokens_BT)
        angles = rope_angles(
            positions_BT, head_dim=config.head_dim, theta=config.rope_theta
        )
        kept = []
        for layer in self.layers:
            x_BTD, remembered = layer(x_BTD, angles, attend)
            kept.append(remembered)
        return self.final_norm(x_BTD), tuple(kept)

    def logits(self, hidden: jax.Array) -> jax.Array:
        """[..., D] -> float32 [..., V]."""
        if self.config.tie_embeddings:
            return self.embedder.logits(hidden)
        return self.head(hidden)

    def hidden_and_logits(
        self, tokens_BT: jax.Array, positions_BT: jax.Array, attend: Attend
    ) -> jax.Array:
        """Touches every param; only used to declare them."""
        return self.logits(self(tokens_BT, positions_BT, attend)[0])


@functools.partial(jax.jit, static_argnums=0, static_argnames="boxed")
def init_params(config: ModelConfig, key: jax.Array, *, boxed: bool = False) -> Params:
    """Fresh float32 params; with `boxed`, leaves carry their logical axis names."""
    tokens = jnp.zeros((1, 1), jnp.int32)
    variables = Decoder(config).init(
        key,
        tokens,
        tokens,
        packed_attention(config, tokens),
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
) -> jax.Array:
    """Packed rows -> hidden [B, T, D]; a position sees its own segment's past only."""
    attend = packed_attention(config, segment_ids_BT)
    return _apply(config, params, tokens_BT, positions_BT, attend)[0]


def prefill(
    config: ModelConfig,
    params: Params,
    *,
    tokens_BT: jax.Array,
    segment_ids_BT: jax.Array,
    positions_BT: jax.Array,
) -> Cache:
    """Packed rows -> keys and values of every position, in the packed layout."""
    attend = packed_attention(config, segment_ids_BT)
    return _apply(config, params, tokens_BT, positions_BT, attend)[1]


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
    hidden_B1D, recent = _apply(config, params, tokens_B[:, None], positions_BT, attend)
    return hidden_B1D[:, 0], recent


def logits(config: ModelConfig, params: Params, hidden: jax.Array) -> jax.Array:
    """hidden [..., D] -> float32 logits [..., V]."""
    return Decoder(config).apply({"params": params}, hidden, method=Decoder.logits)


def _apply(
    config: ModelConfig,
    params: Params,
    tokens_BT: jax.Array,
    positions_BT: jax.Array,
    attend: Attend,
) -> tuple[jax.Array, Cache]:
    return Decoder(config).apply({"params": params}, tokens_BT, positions_BT, attend)


def _residual_gain(config: ModelConfig) -> float:
    # Each layer adds twice to the residual; this keeps its variance near 1 at the end.
    return (2 * config.num_layers) ** -0.5
