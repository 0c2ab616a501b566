"""One optimizer update as one compiled program."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.models.transformer import Params
from simex.sharding.activations import placed
from simex.sharding.mesh import batch_sharding, num_batch_shards, replicated
from simex.train.state import TrainState

Batch = Mapping[str, jax.Array]
# A metric is (total, weight); its value is total / weight, at the very end.
Metrics = dict[str, tuple[jax.Array, jax.Array]]
# (params, batch) -> (sum of losses, sum of weights, metrics)
LossFn = Callable[[Params, Batch], tuple[jax.Array, jax.Array, Metrics]]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_train_step(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    *,
    shardings: TrainState,
    num_micro_batches: int = 1,
) -> TrainStep:
    """Compiles (state, batch) -> (state, metrics); the state passed in is donated.

    The gradient is that of (sum of losses) / (sum of weights) over the whole batch:
    sums run over micro-batches and devices first and are divided once, so the number
    of micro-batches changes only rounding. A batch of weight 0 has loss and gradient 0.

    Args:
        loss_fn: returns sums, never means.
        tx: from `make_optimizer`.
        mesh: rows of a batch are divided over its data and fsdp axes.
        shardings: from `state_shardings`; the same ones go in and out, which keeps the
            step at one compile.
        num_micro_batches: into how many parts rows are split to save memory.

    Returns:
        The step. Its metrics are those of `loss_fn` and `loss`, `grad_norm` (before
        clipping). Batches are dicts of arrays [B, ...] placed by `put_batch`.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        with placed(mesh):
            loss, weight, metrics, grads = _accumulate(
                loss_fn, state.params, _split_rows(batch, num_micro_batches, mesh)
            )
        scale = jnp.where(weight > 0, 1 / jnp.maximum(weight, 1e-30), 0.0)
        grads = jax.tree.map(lambda grad: grad * scale, grads)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        one = jnp.ones(())
        metrics |= {
            "loss": (loss, weight),
            "grad_norm": (optax.tree.norm(grads), one),
        }
        return TrainState(params, opt_state, state.step + 1), metrics

    return jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def _accumulate(
    loss_fn: LossFn, params: Params, micro_batches: list[Batch] | Batch
) -> tuple[jax.Array, jax.Array, Metrics, Params]:
    """Sums of loss, weight, metrics and gradients over the leading axis."""

    def value(params: Params, batch: Batch) -> tuple[jax.Array, Any]:
        loss, weight, metrics = loss_fn(params, batch)
        return loss, (weight, metrics)

    def compute(batch: Batch) -> tuple[jax.Array, jax.Array, Metrics, Params]:
        grad_fn = jax.value_and_grad(value, has_aux=True)
        (loss, (weight, metrics)), grads = grad_fn(params, batch)
        return loss, weight, metrics, grads

    num = jax.tree.leaves(micro_batches)[0].shape[0]
    first = compute(jax.tree.map(lambda x: x[0], micro_batches))
    if num == 1:
        return first
    rest = jax.tree.map(lambda x: x[1:], micro_batches)
    total, _ = jax.lax.scan(
        lambda sums, batch: (jax.tree.map(jnp.add, sums, compute(batch)), None),
        first,
        rest,
    )
    return total


def _split_rows(batch: Batch, num_micro_batches: int, mesh: Mesh) -> Batch:
    """[B, ...] -> [micro, B / micro, ...], each device keeping its own rows."""

    def split(x: jax.Array) -> jax.Array:
        rows = x.shape[0]
        if rows % (num_micro_batches * num_batch_shards(mesh)):
            raise UserError(
                f"{rows} rows must divide over {num_micro_batches} micro-batches x "
                f"{num_batch_shards(mesh)} devices. Change the number of rows."
            )
        x = x.reshape(rows // num_micro_batches, num_micro_batches, *x.shape[1:])
        return jnp.swapaxes(x, 0, 1)

    return jax.tree.map(split, dict(batch))
