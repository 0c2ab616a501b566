"""How arrays lie in memory, for the few places where the compiler chooses badly."""

import jax
from jax.experimental.layout import Layout, with_layout_constraint


def row_major(x: jax.Array) -> jax.Array:
    """`x`, written out in memory with its last axis innermost.

    After a transposition: the copy is made here, instead of a product that reads its
    input sideways or arithmetic that is done while turning.
    """
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))
