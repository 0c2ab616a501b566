"""Params alone on disk: for whoever uses a model and does not go on training it."""

import pathlib

import jax
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.models.transformer import Params, init_params
from simex.sharding.mesh import make_shardings
from simex.train.checkpoint import DAMAGE, Checkpoints
from simex.train.orbax_settings import little_memory


def load_params(
    directory: pathlib.Path,
    config: ModelConfig,
    *,
    mesh: Mesh,
    step: int | None = None,
    item: str = "state",
) -> Params:
    """Only the params of a saved TrainState, placed on `mesh`.

    `step` defaults to the newest. Raises UserError when there is no such step or its
    shapes are not those of `config`.
    """
    if not directory.is_dir():
        raise UserError(
            f"There is no checkpoint directory {directory}. Run the job that trains "
            "this model first, or correct the path."
        )
    boxed = jax.eval_shape(lambda: init_params(config, jax.random.key(0), boxed=True))
    shardings = make_shardings(boxed, mesh)
    shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
    abstract = jax.tree.map(
        lambda shape, sharding: jax.ShapeDtypeStruct(
            shape.shape, shape.dtype, sharding=sharding
        ),
        shapes,
        shardings,
    )
    checkpoints = Checkpoints(directory)
    name = f"{item}.params"
    try:
        if step is None:
            found = checkpoints.restore({name: abstract})
            if found is None:
                raise UserError(f"There is no checkpoint in {directory}.")
            return found.items[name]
        return checkpoints.load(step, {name: abstract})[name]
    except DAMAGE as error:
        raise UserError(
            f"The params of step {step} in {directory} cannot be read: {error}"
        ) from error
    finally:
        checkpoints.close()


def save_params(directory: pathlib.Path, params: Params, *, step: int = 0) -> None:
    """Writes params, of any floating types, as a step that `load_params` reads.

    `load_params` restores float32 whatever the types on disk are. Little more memory
    is needed than the params themselves take: few bytes are on their way at a time.
    """
    with little_memory(params):
        checkpoints = Checkpoints(directory)
        try:
            checkpoints.save(step, {"state.params": params})
        finally:
            checkpoints.close()
