"""Spans that are copied between caches: two programs, one result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.models import cache as caches
from simex.models.cache import Cache, LayerCache

SPAN = 4


def make(seed: int, *, rows: int, positions: int) -> Cache:
    """Two layers, two kv heads, width 3, all numbers different."""
    keys = jax.random.split(jax.random.key(seed), 4)
    return tuple(
        LayerCache(
            jax.random.normal(keys[2 * layer], (rows, 2, 3, positions)),
            jax.random.normal(keys[2 * layer + 1], (rows, 2, positions, 3)),
        )
        for layer in range(2)
    )


def places(*pairs: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """(row, first position) of each span, as two arrays."""
    rows, starts = zip(*pairs, strict=True)
    return jnp.array(rows, jnp.int32), jnp.array(starts, jnp.int32)


SOURCES = places((0, 0), (1, 3), (0, 2), (1, 0))
TARGETS = places((4, 8), (0, 5), (2, 0), (3, 1))


def expected(target: Cache, source: Cache, num_spans: int) -> Cache:
    """The same by plain slices of numpy."""
    copied = []
    for to, come in zip(target, source, strict=True):
        k, v = np.array(to.k_BKHS), np.array(to.v_BKSH)
        for i in range(num_spans):
            row, at = int(SOURCES[0][i]), int(SOURCES[1][i])
            to_row, to_at = int(TARGETS[0][i]), int(TARGETS[1][i])
            k[to_row, :, :, to_at : to_at + SPAN] = come.k_BKHS[
                row, ..., at : at + SPAN
            ]
            v[to_row, :, to_at : to_at + SPAN] = come.v_BKSH[row, :, at : at + SPAN]
        copied.append(LayerCache(jnp.array(k), jnp.array(v)))
    return tuple(copied)


@pytest.mark.parametrize("copy", [caches._copy_in_turn, caches._copy_together])
@pytest.mark.parametrize("num_spans", [0, 3, 4])
def test_a_cache_differs_only_where_spans_were_copied(copy, num_spans):
    target, source = make(0, rows=5, positions=12), make(1, rows=2, positions=8)
    copied = jax.jit(copy, static_argnums=0)(
        SPAN, target, source, jnp.int32(num_spans), SOURCES, TARGETS
    )
    wanted = expected(target, source, num_spans)
    for got, want in zip(jax.tree.leaves(copied), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("platform", "has", "has_not"),
    [("cuda", "stablehlo.scatter", "stablehlo.while"),
     ("cpu", "stablehlo.while", "stablehlo.scatter")],
)  # fmt: skip
def test_a_gpu_copies_in_one_scatter_and_a_cpu_in_turn(platform, has, has_not):
    target, source = make(0, rows=5, positions=12), make(1, rows=2, positions=8)

    def copy(target: Cache, source: Cache) -> Cache:
        return caches.copy_spans(
            target, source, SPAN, num_spans=4, sources=SOURCES, targets=TARGETS
        )

    lowered = jax.jit(copy).trace(target, source).lower(lowering_platforms=(platform,))
    text = lowered.as_text()
    assert has in text
    assert has_not not in text
