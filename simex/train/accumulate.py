"""One optimizer update from any number of micro-batches of one shape.

RL batches change size with every step. Here the host adds micro-batches one by one, so
two compiled programs serve all sizes; `train.step` compiles one program for a batch
whose size is fixed.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from simex.sharding.activations import placed
from simex.sharding.compiles import watch_compiles
from simex.sharding.mesh import batch_sharding, replicated
from simex.train.state import TrainState
from simex.train.step import LossFn, Metrics

Sums = tuple[Any, Metrics]  # (gradient sums, metric sums)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accumulator:
    """`first`, then `add` for each further micro-batch, then one `apply`."""

    first: Callable[[Any, Mapping[str, jax.Array]], Sums]
    """(params, batch) -> sums"""

    add: Callable[[Sums, Any, Mapping[str, jax.Array]], Sums]
    """(sums, params, batch) -> sums; the sums passed in are donated."""

    apply: Callable[[TrainState, Sums, jax.Array], tuple[TrainState, Metrics]]
    """(state, sums, denominator) -> (state, metrics); the state is donated."""


def make_accumulator(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    *,
    shardings: TrainState,
) -> Accumulator:
    """Compiles the three parts; a second compilation of one warns.

    Args:
      loss_fn: (params, batch) -> (sum of losses, ignored weight, metrics); sums only.
      tx: from `make_optimizer`.
      mesh: rows of a micro-batch are divided over its data and fsdp axes.
      shardings: from `state_shardings`.
    """

    def compute(params: Any, batch: Mapping[str, jax.Array]) -> Sums:
        def value(params: Any) -> tuple[jax.Array, Metrics]:
            loss, _, metrics = loss_fn(params, batch)
            return loss, metrics | {"loss": (loss, jnp.zeros(()))}

        with placed(mesh):
            (_, metrics), grads = jax.value_and_grad(value, has_aux=True)(params)
        return grads, metrics

    def add(sums: Sums, params: Any, batch: Mapping[str, jax.Array]) -> Sums:
        return jax.tree.map(jnp.add, sums, compute(params, batch))

    def apply(
        state: TrainState, sums: Sums, denominator: jax.Array
    ) -> tuple[TrainState, Metrics]:
        grads, metrics = sums
        grads = jax.tree.map(lambda g: g / denominator, grads)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = metrics | {
            "loss": (metrics["loss"][0], denominator),
            "grad_norm": (optax.tree.norm(grads), jnp.ones(())),
        }
        return TrainState(params, opt_state, state.step + 1), metrics

    rows, whole = batch_sharding(mesh), replicated(mesh)
    sums = (shardings.params, whole)
    programs = {
        "first": jax.jit(
            compute, in_shardings=(shardings.params, rows), out_shardings=sums
        ),
        "add": jax.jit(
            add,
            in_shardings=(sums, shardings.params, rows),
            out_shardings=sums,
            donate_argnums=0,
        ),
        "apply": jax.jit(
            apply,
            in_shardings=(shardings, sums, whole),
            out_shardings=(shardings, whole),
            donate_argnums=0,
        ),
    }
    return Accumulator(
        **{
            name: watch_compiles(program, f"update ({name})", max_shapes=1)
            for name, program in programs.items()
        }
    )


@functools.partial(jax.jit, donate_argnums=0)
def _add(one: Any, other: Any) -> Any:
    return jax.tree.map(jnp.add, one, other)


def add_gradients(sums: Sums, others: Sums) -> Sums:
    """The sums of two losses: gradients added, metrics side by side.

    The "loss" that is reported stays that of `sums`, which is donated.
    """
    metrics = {name: pair for name, pair in others[1].items() if name != "loss"}
    return _add(sums[0], others[0]), sums[1] | metrics
