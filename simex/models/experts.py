"""A mixture of experts: each token goes to few of many feed-forwards (Qwen3-MoE).

No token is dropped and no expert is padded: the (token, expert) pairs are sorted by
expert and multiplied in groups. Routing is float32 in every compute type, since a
rounded router sends tokens elsewhere.

A limit: in training over several devices the sort goes over the tokens of all of them,
so the compiler moves tokens to where they are multiplied, layer by layer. No training
of experts over several devices is tested or measured. The sampler sorts on each device
the tokens of its own rows.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.matmul import precision_of


class Experts(nn.Module):
    """sum over the chosen experts of weight * down(silu(gate x) * up x)."""

    config: ModelConfig
    experts: ExpertsConfig
    gain: float  # of the initial output kernels

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        experts, width = self.experts, x_BTD.shape[-1]
        x_MD = x_BTD.reshape(-1, width)
        router_DE = self.param(
            "router",
            _init(("embed", "experts"), 1.0),
            (width, experts.num_experts),
        )
        weights_MC, chosen_MC = _route(x_MD, router_DE, experts)
        # From here on each pair of a token and an expert is a row, in expert order.
        order = jnp.argsort(chosen_MC.reshape(-1), stable=True)
        sizes_E = jnp.bincount(chosen_MC.reshape(-1), length=experts.num_experts)
        rows = jnp.take(x_MD, order // experts.num_per_token, axis=0)
        gate = self._kernel("gate", width, experts.d_ff)
        up = self._kernel("up", width, experts.d_ff)
        down = self._kernel("down", experts.d_ff, width)
        inner = nn.silu(self._grouped(rows, gate, sizes_E))
        out = self._grouped(inner * self._grouped(rows, up, sizes_E), down, sizes_E)
        unsorted = jnp.zeros_like(out).at[order].set(out)
        per_choice = unsorted.reshape(-1, experts.num_per_token, width)
        out_MD = jnp.sum(per_choice * weights_MC[..., None], axis=1)
        return out_MD.reshape(x_BTD.shape)

    def _kernel(self, name: str, num_in: int, num_out: int) -> jax.Array:
        axes = ("experts", "mlp", "embed") if name == "down" else _INWARDS
        gain = self.gain if name == "down" else 1.0
        shape = (self.experts.num_experts, num_in, num_out)
        return _Kernel(axes, gain, shape, name=name)()

    def _grouped(
        self, rows: jax.Array, kernel_EIO: jax.Array, sizes_E: jax.Array
    ) -> jax.Array:
        """Rows of group e times kernel e; float32."""
        dtype = self.config.compute_dtype
        return _grouped_matmul(rows.astype(dtype), kernel_EIO.astype(dtype), sizes_E)


def _ragged_dot(
    rows: jax.Array,
    kernel_EIO: jax.Array,
    sizes_E: jax.Array,
    out: jax.typing.DTypeLike,
) -> jax.Array:
    return jax.lax.ragged_dot(
        rows,
        kernel_EIO,
        sizes_E,
        precision=precision_of(rows.dtype),
        preferred_element_type=out,
    )


@jax.custom_vjp
def _grouped_matmul(
    rows: jax.Array, kernel_EIO: jax.Array, sizes_E: jax.Array
) -> jax.Array:
    """Sums are float32; gradients are products of the type of the inputs."""
    return _ragged_dot(rows, kernel_EIO, sizes_E, jnp.float32)


def _grouped_forward(
    rows: jax.Array, kernel_EIO: jax.Array, sizes_E: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
    return _grouped_matmul(rows, kernel_EIO, sizes_E), (rows, kernel_EIO, sizes_E)


def _grouped_backward(
    saved: tuple[jax.Array, jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array, None]:
    rows, kernel_EIO, sizes_E = saved
    dtype = rows.dtype
    _, pull = jax.vjp(lambda r, k: _ragged_dot(r, k, sizes_E, dtype), rows, kernel_EIO)
    return (*pull(grad.astype(dtype)), None)


_grouped_matmul.defvjp(_grouped_forward, _grouped_backward)


class _Kernel(nn.Module):
    """A stack of matrices [E, in, out], named as those of `Projection` are."""

    axes: tuple[str, ...]
    gain: float
    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("kernel", _init(self.axes, self.gain), self.shape)


_INWARDS = ("experts", "embed", "mlp")


def _init(axes: tuple[str, ...], gain: float):  # type: ignore[no-untyped-def]
    batch_axis = (0,) if len(axes) == 3 else ()
    scaling = nn.initializers.variance_scaling(
        gain**2, "fan_in", "normal", batch_axis=batch_axis
    )
    return nn.with_logical_partitioning(scaling, axes)


def _route(
    x_MD: jax.Array, router_DE: jax.Array, experts: ExpertsConfig
) -> tuple[jax.Array, jax.Array]:
    """(weights, expert ids) of the chosen experts of every token, both [M, C]."""
    precision = precision_of(jnp.float32)  # a tie must fall alike on every platform
    logits_ME = jnp.matmul(x_MD, router_DE, precision=precision)
    scores_ME = jax.nn.softmax(logits_ME, axis=-1)
    weights_MC, chosen_MC = jax.lax.top_k(scores_ME, experts.num_per_token)
    if experts.normalises:
        weights_MC /= jnp.sum(weights_MC, axis=-1, keepdims=True)
    return weights_MC, chosen_MC
