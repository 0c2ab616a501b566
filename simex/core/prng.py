"""Random streams that depend on a seed and on names, never on the order of calls.

`host_rng(0, "families", 7)` gives the same numbers in every process, on every machine
and however many other streams were drawn before it.
"""

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax


def host_rng(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the stream called `names` of `seed`."""
    return np.random.default_rng(list(_words(seed, names)))


def key(seed: int, *names: str | int) -> "jax.Array":
    """A scalar threefry key for the stream called `names` of `seed`."""
    # Imported here only: host rooms import this module and must run without jax.
    import jax

    data = jax.numpy.asarray(_words(seed, names)[:2], dtype=np.uint32)
    return jax.random.wrap_key_data(data, impl="threefry2x32")


def _words(seed: int, names: tuple[str | int, ...]) -> tuple[int, ...]:
    # JSON keeps 1 and "1" apart, and ("ab",) and ("a", "b").
    text = json.dumps([int(seed), *names])
    digest = hashlib.sha256(text.encode()).digest()
    return tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4))
