"""Which positions of a packed row belong together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from simex.models.config import ModelConfig


class Segments(NamedTuple):
    """Of each position its own segment and, where several go on from one, that one.

    A position sees its own segment and its prefix, each as far as it lies before it in
    the row. Where all prefixes are None nothing goes on from anything.
    """

    own_BT: jax.Array  # int32; 0: padding
    prefix_BT: jax.Array | None = None  # int32; its own where it has none

    def part(self, start: int, stop: int) -> "Segments":
        """Positions start..stop of every row."""
        return jax.tree.map(lambda ids_BT: ids_BT[:, start:stop], self)

    def sees(self, keys: "Segments") -> jax.Array:
        """Bool [B, T, S]: whether each position may see each of `keys`, order aside."""
        own_B1S = keys.own_BT[:, None, :]
        seen_BTS = self.own_BT[:, :, None] == own_B1S
        if self.prefix_BT is None:
            return seen_BTS
        return jnp.logical_or(seen_BTS, self.prefix_BT[:, :, None] == own_B1S)


def can_share_prefixes(config: ModelConfig, platform: str) -> bool:
    """Whether `transformer.forward` takes prefixes, and is better off with them.

    A window counts positions of the row, the dynamic scaling of RoPE reads the length
    of the one sequence that a position belongs to, and the kernel for TPUs knows no
    segments but a position's own.
    """
    is_fixed = config.rope_scaling.kind != "dynamic" and not any(config.windows)
    return is_fixed and platform != "tpu"
