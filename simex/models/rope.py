"""Rotary positions, halves rotated against each other, and their long-context scalings.

Su et al. 2021, arXiv 2104.09864. Pairs are (i, i + H/2), as in Llama and Qwen weights
on the Hugging Face hub, not the neighbours (2i, 2i + 1) of the paper.

Scalings: "linear" divides positions (Chen et al. 2023, arXiv 2306.15595); "dynamic"
raises the base with the length of the sequence, known as dynamic NTK; "yarn" (Peng et
al. 2023, arXiv 2309.00071) and "llama3" (Llama 3.1) divide slow frequencies and keep
fast ones. Numbers follow transformers, whose checkpoints define them.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from simex.core.errors import UserError

KINDS = ("default", "linear", "dynamic", "yarn", "llama3")
_NEED_ORIGINAL = ("dynamic", "yarn", "llama3")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """How frequencies are changed for contexts longer than those of pre-training.

    Example: ``RopeScaling(kind="yarn", factor=2.0, original_max_positions=32768)``
    doubles the context of a Qwen2.5.

    A "dynamic" scaling is for training and reading logits: beyond
    `original_max_positions` nothing is sampled (the keys of a cache were turned for a
    shorter row), and transformers holds none that starts before the model's last
    position.
    """

    kind: str = "default"
    factor: float = 1.0
    original_max_positions: int | None = None  # of pre-training
    low_freq_factor: float = 1.0  # llama3
    high_freq_factor: float = 4.0  # llama3
    beta_fast: float = 32.0  # yarn: turns above which a frequency is kept
    beta_slow: float = 1.0  # yarn: turns below which it is divided
    attention_factor: float | None = None  # yarn; None: 0.1 ln(factor) + 1
    truncate: bool = True  # yarn: the ramp starts and ends at whole dimensions

    def __post_init__(self) -> None:
        """Raises UserError for an unknown kind or a number that it needs."""
        if self.kind not in KINDS:
            raise UserError(
                f"A RoPE scaling must be one of {', '.join(KINDS)}; got {self.kind!r}."
            )
        if not self.factor >= 1:
            raise UserError(
                f"RopeScaling.factor must be at least 1; got {self.factor}."
            )
        if self.kind in _NEED_ORIGINAL and not self.original_max_positions:
            raise UserError(
                f"A {self.kind} RoPE scaling needs original_max_positions, the context "
                f"of pre-training; got {self.original_max_positions}."
            )

    @property
    def amplitude(self) -> float:
        """What cos and sin are multiplied by."""
        if self.kind != "yarn":
            return 1.0
        if self.attention_factor is not None:
            return self.attention_factor
        return 0.1 * math.log(self.factor) + 1.0


def rope_angles(
    positions_BT: jax.Array,
    *,
    head_dim: int,
    theta: float,
    scaling: RopeScaling = RopeScaling(),
    lengths_BT: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(cos, sin) of the angles, each float32 [B, T, H/2].

    Args:
        positions_BT: int32, from 0 in each sequence.
        head_dim: H.
        theta: the base.
        scaling: of the frequencies.
        lengths_BT: int32, of the sequence that each position belongs to; only the
            "dynamic" scaling reads it, and needs it.
    """
    exponents = jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim
    if scaling.kind == "default":
        frequencies = (theta**-exponents)[None, None, :]
    elif scaling.kind == "dynamic":
        base_BT1 = _dynamic_base(theta, scaling, head_dim, lengths_BT)
        frequencies = base_BT1 ** -exponents[None, None, :]
    else:
        frequencies = jnp.asarray(scaled_frequencies(theta, scaling, head_dim))
        frequencies = frequencies[None, None, :]
    angles = positions_BT[..., None].astype(jnp.float32) * frequencies
    if scaling.amplitude == 1.0:
        return jnp.cos(angles), jnp.sin(angles)
    return jnp.cos(angles) * scaling.amplitude, jnp.sin(angles) * scaling.amplitude


def apply_rope(x_BTNH: jax.Array, angles: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turns each head by its position's angles; same shape, float32."""
    cos, sin = (angle[:, :, None, :] for angle in angles)
    # Whole heads at a time: put together of two halves, this costs a CPU four times as
    # much, and cos and sin are computed again for every head.
    swapped = jnp.roll(x_BTNH, x_BTNH.shape[-1] // 2, axis=-1)
    both_cos = jnp.concatenate([cos, cos], axis=-1)
    return x_BTNH * both_cos + swapped * jnp.concatenate([-sin, sin], axis=-1)


def scaled_frequencies(theta: float, scaling: RopeScaling, head_dim: int) -> np.ndarray:
    """Radians a position of a linear, yarn or llama3 scaling, float32 [H/2]."""
    plain = theta ** -(np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    kept = {"linear": _keep_none, "yarn": _keep_yarn, "llama3": _keep_llama3}
    share = kept[scaling.kind](plain, theta, scaling)
    mixed = share * plain + (1 - share) * plain / scaling.factor
    return mixed.astype(np.float32)


def _keep_none(plain: np.ndarray, theta: float, scaling: RopeScaling) -> np.ndarray:
    return np.zeros_like(plain)


def _keep_llama3(plain: np.ndarray, theta: float, scaling: RopeScaling) -> np.ndarray:
    """1 for waves shorter than context/high, 0 for longer than context/low."""
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    turns = (scaling.original_max_positions or 0) * plain / (2 * math.pi)
    return np.clip((turns - low) / (high - low), 0, 1)


def _keep_yarn(plain: np.ndarray, theta: float, scaling: RopeScaling) -> np.ndarray:
    """1 below the dimension that turns `beta_fast` times, 0 above `beta_slow`."""
    head_dim = 2 * len(plain)

    def dimension(turns: float) -> float:
        context = scaling.original_max_positions or 0
        wave = math.log(context / (turns * 2 * math.pi))
        return head_dim * wave / (2 * math.log(theta))

    low, high = dimension(scaling.beta_fast), dimension(scaling.beta_slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    width = (high - low) or 0.001  # no division by 0
    return 1 - np.clip((np.arange(len(plain)) - low) / width, 0, 1)


def _dynamic_base(
    theta: float, scaling: RopeScaling, head_dim: int, lengths_BT: jax.Array | None
) -> jax.Array:
    """The base grows once a sequence is longer than `original_max_positions`: B T 1."""
    if lengths_BT is None or scaling.original_max_positions is None:
        raise ValueError("A dynamic RoPE scaling needs the lengths of sequences.")
    original, factor = scaling.original_max_positions, scaling.factor
    ratio = jnp.maximum(lengths_BT, original).astype(jnp.float32) / original
    growth = (factor * ratio - (factor - 1)) ** (head_dim / (head_dim - 2))
    return (theta * growth)[..., None]
