"""Randomness of a sample: a function of its own path and position, of nothing else."""

import hashlib
import json
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def path_key(path: Sequence[int]) -> np.ndarray:
    """Threefry key data, uint32 [2], of a path such as (seed, step, problem, sample)."""
    digest = hashlib.sha256(json.dumps([int(part) for part in path]).encode()).digest()
    return np.frombuffer(digest[:8], dtype="<u4").astype(np.uint32)


def position_uniforms(keys_B2: jax.Array, positions_B: jax.Array) -> jax.Array:
    """One number in [0, 1) a row, from the row's key and the position it fills."""

    def draw(key_2: jax.Array, position: jax.Array) -> jax.Array:
        key = jax.random.wrap_key_data(key_2, impl="threefry2x32")
        return jax.random.uniform(jax.random.fold_in(key, position), dtype=jnp.float32)

    return jax.vmap(draw)(keys_B2, positions_B)
