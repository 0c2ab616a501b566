"""What one optimizer update reads and writes, made sharded from the start."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from simex.models.config import ModelConfig
from simex.models.transformer import Params, init_params
from simex.sharding.mesh import make_shardings


class TrainState(NamedTuple):
    """Params, optimizer state and the number of updates done (int32 scalar)."""

    params: Params
    opt_state: Any
    step: jax.Array


def make_train_state(
    config: ModelConfig,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    *,
    key: jax.Array,
    params: Params | None = None,
) -> TrainState:
    """A state at step 0, every leaf created on the devices that own it.

    `params`, where given (plain nested dict), are copied instead of drawn from `key`,
    so that the caller's arrays survive the donation of the state.
    """

    def build(key: jax.Array, params: Params | None) -> TrainState:
        if params is None:
            params = init_params(config, key)
        params = jax.tree.map(jnp.copy, params)
        return TrainState(params, tx.init(params), jnp.zeros((), jnp.int32))

    shardings = state_shardings(config, tx, mesh)
    return jax.jit(build, out_shardings=shardings)(key, params)


def state_shardings(
    config: ModelConfig, tx: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Shardings of the state; moments get those of the params they belong to.

    `tx.init` runs on params that are boxed with their axis names, so that the moments
    are boxed too. Left to the compiler, moments are replicated (zeros depend on
    nothing), and the first update changes their sharding and compiles twice.
    """
    return make_shardings(_abstract_boxed_state(config, tx), mesh)


def abstract_train_state(
    config: ModelConfig, tx: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Shapes, types and shardings of a state: what a checkpoint is restored into."""
    boxed = _abstract_boxed_state(config, tx)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding
        ),
        nn.meta.unbox(boxed),
        make_shardings(boxed, mesh),
    )


def _abstract_boxed_state(
    config: ModelConfig, tx: optax.GradientTransformation
) -> TrainState:
    def build() -> TrainState:
        params = init_params(config, jax.random.key(0), boxed=True)
        return TrainState(params, tx.init(params), jnp.zeros((), jnp.int32))

    return jax.eval_shape(build)
