"""Copies of arrays, so that those they are of may be donated to the next update."""

import collections
from typing import Any

import jax
import jax.numpy as jnp


def copy_arrays(tree: Any) -> Any:
    """The same tree with copies of its arrays; those on the same devices in one program.

    One by one they cost a train step of the quickstart an eighth of its time.
    """
    leaves, structure = jax.tree.flatten(tree)
    arrays: dict[Any, dict[int, jax.Array]] = collections.defaultdict(dict)
    for number, leaf in enumerate(leaves):
        if isinstance(leaf, jax.Array):
            arrays[frozenset(leaf.sharding.device_set)][number] = leaf
    for ones in arrays.values():
        for number, copied in _copy(ones).items():
            leaves[number] = copied
    return jax.tree.unflatten(structure, leaves)


@jax.jit
def _copy(arrays: dict[int, jax.Array]) -> dict[int, jax.Array]:
    return jax.tree.map(jnp.copy, arrays)
