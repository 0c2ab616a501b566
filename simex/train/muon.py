"""Muon: momentum whose singular values are made equal.

Jordan 2024, "Muon: an optimizer for hidden layers in neural networks". The momentum
matrix is replaced by the nearest semi-orthogonal one through five Newton-Schulz steps.
The result is scaled by 0.2 sqrt(max(in, out)), after which its elements are about as
large as AdamW's (Liu et al. 2025, arXiv 2502.16982), so that both share a learning rate.

Unlike `optax.contrib.muon`, matrices of equal shape are stacked and the stack is divided
over the data devices, which otherwise would all compute all of them: at small batches
that is a fifth of a train step.
"""

import collections
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from simex.models.matmul import precision_of
from simex.sharding.mesh import BATCH_AXES, num_batch_shards

NEWTON_SCHULZ_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steep at 0, ends near 1 (Jordan 2024)
_RMS = 0.2


class MuonState(NamedTuple):
    """The momentum of every matrix."""

    momentum: Any


def scale_by_muon(
    *, beta: float, dtype: str, mesh: Mesh | None = None
) -> optax.GradientTransformation:
    """Nesterov momentum, orthogonalised; every leaf is a matrix [in, out] or a stack.

    Args:
        beta: decay of the momentum.
        dtype: of the inputs of Newton-Schulz products; sums are float32. The iteration
            forgives "bfloat16", which is much faster.
        mesh: divides the work over its data and fsdp axes.
    """

    def init(params: Any) -> MuonState:
        return MuonState(jax.tree.map(jnp.zeros_like, params))

    def update(
        grads: Any, state: MuonState, params: Any = None
    ) -> tuple[Any, MuonState]:
        del params
        momentum = jax.tree.map(
            lambda old, grad: beta * old + (1 - beta) * grad, state.momentum, grads
        )
        ahead = jax.tree.map(
            lambda new, grad: beta * new + (1 - beta) * grad, momentum, grads
        )
        return _orthogonalise_tree(ahead, dtype, mesh), MuonState(momentum)

    return optax.GradientTransformation(init, update)


def orthogonalise(stack_NIO: jax.Array, *, dtype: str) -> jax.Array:
    """Each matrix of a stack with its singular values moved near 1; I <= O is best."""
    a, b, c = _COEFFICIENTS

    def product(x: jax.Array, y: jax.Array, contract: int) -> jax.Array:
        return jax.lax.dot_general(
            x.astype(dtype),
            y.astype(dtype),
            (((2,), (contract,)), ((0,), (0,))),
            precision=precision_of(dtype),
            preferred_element_type=jnp.float32,
        )

    norms = jnp.linalg.norm(stack_NIO, axis=(1, 2), keepdims=True)
    x = stack_NIO / jnp.maximum(norms, 1e-7)

    def improve(_: Any, x: jax.Array) -> jax.Array:
        gram = product(x, x, 2)
        return a * x + product(b * gram + c * product(gram, gram, 1), x, 1)

    # A loop, since unrolled it would be most of a train step's compile time.
    return jax.lax.fori_loop(0, NEWTON_SCHULZ_STEPS, improve, x)


def _orthogonalise_tree(matrices: Any, dtype: str, mesh: Mesh | None) -> Any:
    leaves, structure = jax.tree.flatten(matrices)
    by_shape = collections.defaultdict(list)
    for index, leaf in enumerate(leaves):
        by_shape[tuple(sorted(leaf.shape[-2:]))].append(index)
    for shape, indices in by_shape.items():
        # A leaf is one matrix or a stack (of layers, of experts); never matrix by
        # matrix, of which a mixture of experts has ten thousands.
        stacks = [leaves[i].reshape(-1, *leaves[i].shape[-2:]) for i in indices]
        # Wide rather than tall: the Gram matrix is then the smaller one.
        is_wide = [stack.shape[1:] == shape for stack in stacks]
        wide = [x if w else x.swapaxes(1, 2) for x, w in zip(stacks, is_wide)]
        done = orthogonalise(_join(wide, mesh), dtype=dtype)
        scale, start = _RMS * max(shape) ** 0.5, 0
        for i, own, w in zip(indices, wide, is_wide):
            result = done[start : start + len(own)] * scale
            start += len(own)
            result = result if w else result.swapaxes(1, 2)
            leaves[i] = result.reshape(leaves[i].shape)
    return jax.tree.unflatten(structure, leaves)


def _join(stacks: list[jax.Array], mesh: Mesh | None) -> jax.Array:
    """[N, in, out] divided over devices; N is filled up with zeros to divide."""
    stack = jnp.concatenate(stacks)
    if mesh is None:
        return stack
    missing = -len(stack) % num_batch_shards(mesh)
    stack = jnp.pad(stack, ((0, missing), (0, 0), (0, 0)))
    sharding = NamedSharding(mesh, PartitionSpec(BATCH_AXES))
    return jax.lax.with_sharding_constraint(stack, sharding)
