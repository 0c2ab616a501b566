"""Params alone on disk: for whoever uses a model and does not go on training it."""

import pathlib
from typing import Literal

import jax
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.models.transformer import Params, init_params
from simex.sharding.mesh import make_shardings
from simex.train.checkpoint import DAMAGE, Checkpoints
from simex.train.orbax_settings import little_memory

Choice = int | Literal["best"] | None  # of a step; None: the newest


def split_choice(checkpoint: str) -> tuple[str, Choice]:
    """The stage that a setting names, and which of its checkpoints.

    Example: "nlex/train_sft@best" gives ("nlex/train_sft", "best"), and "train_rl" gives
    ("train_rl", None), the newest. Raises UserError for another word than "best".
    """
    stage, at, which = checkpoint.partition("@")
    if at and which != "best":
        raise UserError(
            f"A checkpoint must be STAGE, for its newest, or STAGE@best; got "
            f"{checkpoint!r}."
        )
    return stage, "best" if at else None


def load_params(
    directory: pathlib.Path,
    config: ModelConfig,
    *,
    mesh: Mesh,
    step: Choice = None,
    item: str = "state",
) -> Params:
    """Only the params of a saved TrainState, placed on `mesh`.

    `step` defaults to the newest; "best" is the best by the metric that the steps were
    saved with. Raises UserError when there is no such step, it is damaged (an older one
    would be another model), or its shapes are not those of `config`.
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
        if step is None and (step := checkpoints.latest_step()) is None:
            raise UserError(f"There is no checkpoint in {directory}.")
        if step == "best":
            best = checkpoints.best()
            step = None if best is None else best.step
        if step is None:
            raise UserError(
                f"No checkpoint in {directory} was ranked by a validation metric, so "
                "none is the best. Train with validation and its keep_best (where each "
                "validation lost too many rollouts to faults of the sandbox, mend that), "
                "or take the newest."
            )
        if step not in (known := checkpoints.steps()):
            raise UserError(
                f"There is no step {step} in {directory}; it has "
                f"{', '.join(map(str, sorted(known))) or 'none'}."
            )
        return checkpoints.load(step, {name: abstract})[name]
    except DAMAGE as error:
        raise UserError(
            f"The params of step {step} in {directory} cannot be read: {error}. Remove "
            "that step's folder to take the one before it, or train anew."
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
