"""One layer of the decoder, as Linen modules that declare logical axis names."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from simex.models.attention import Attend
from simex.models.cache import LayerCache
from simex.models.config import ModelConfig
from simex.models.experts import Experts
from simex.models.matmul import kept_dtype, matmul
from simex.models.rope import apply_rope
from simex.models.softmax_attention import Window
from simex.models.swiglu import swiglu
from simex.sharding.activations import constrain

RESIDUAL = ("batch", "positions", "width")  # logical axes of [B, T, D]


class RMSNorm(nn.Module):
    """x / rms(x) * scale in float32 (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    epsilon: float
    axis_name: str = "norm"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises the last axis; same shape."""
        init = nn.with_logical_partitioning(nn.initializers.ones, (self.axis_name,))
        scale = self.param("scale", init, (x.shape[-1],))
        x = x.astype(jnp.float32)
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
    is_kept: bool = False  # in `kept_dtype` instead of float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., out]."""
        init = nn.initializers.variance_scaling(self.gain**2, "fan_in", "normal")
        kernel_IO = self.param(
            "kernel",
            nn.with_logical_partitioning(init, self.axes),
            (x.shape[-1], self.features),
        )
        out_dtype = kept_dtype(self.compute_dtype) if self.is_kept else "float32"
        y = matmul(
            x,
            kernel_IO,
            compute_dtype=self.compute_dtype,
            axes=self.axes,
            out_dtype=out_dtype,
        )
        if self.use_bias:
            zeros = nn.with_logical_partitioning(nn.initializers.zeros, self.axes[1:])
            bias = self.param("bias", zeros, (self.features,))
            y = (y + jnp.expand_dims(bias, range(y.ndim - 1))).astype(out_dtype)
        return y


class Attention(nn.Module):
    """Projections, optional qk-norm, rotary positions, `attend`, output projection."""

    config: ModelConfig
    layer: int

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        angles: tuple[jax.Array, jax.Array],
        attend: Attend,
        window: Window,
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
        out_BTNH, kept = attend(self.layer, q_BTNH, k_BTKH, v_BTKH, window)
        out = Projection(
            config.d_model,
            ("heads", "embed"),
            config.compute_dtype,
            use_bias=config.o_bias,
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
            is_kept=True,
            name=name,
        )(x)
        flat = constrain(flat, "batch", "positions", axis)
        return flat.reshape(*flat.shape[:2], num_heads, self.config.head_dim)


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate x) * up x) (Shazeer 2020, arXiv 2002.05202)."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        config = self.config
        inwards = (config.d_ff, ("embed", "mlp"), config.compute_dtype, config.mlp_bias)
        gate = Projection(*inwards, is_kept=True, name="gate")(x_BTD)
        up = Projection(*inwards, is_kept=True, name="up")(x_BTD)
        inner = constrain(swiglu(gate, up), "batch", "positions", "mlp")
        return Projection(
            config.d_model,
            ("mlp", "embed"),
            config.compute_dtype,
            use_bias=config.mlp_bias,
            gain=_residual_gain(config),
            name="down",
        )(inner)


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm, on a residual."""

    config: ModelConfig
    layer: int

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        angles: tuple[jax.Array, jax.Array],
        attend: Attend,
        window: Window,
    ) -> tuple[jax.Array, LayerCache]:
        """Returns the residual after the layer, and what to remember."""
        config = self.config
        normed = RMSNorm(config.norm_eps, name="attention_norm")(x_BTD)
        out, kept = Attention(config, self.layer, name="attention")(
            normed, angles, attend, window
        )
        x_BTD = constrain(x_BTD + out, *RESIDUAL)
        normed = RMSNorm(config.norm_eps, name="feed_forward_norm")(x_BTD)
        if experts := config.experts_of(self.layer):
            gain = _residual_gain(config)
            feed_forward = Experts(config, experts, gain, name="feed_forward")
        else:
            feed_forward = FeedForward(config, name="feed_forward")
        return constrain(x_BTD + feed_forward(normed), *RESIDUAL), kept


def _residual_gain(config: ModelConfig) -> float:
    # Each layer adds twice to the residual; this keeps its variance near 1 at the end.
    return (2 * config.num_layers) ** -0.5
