"""Jobs: a pretrained model comes in, and what was made of it goes out."""

import pathlib

import gin

from simex.core.errors import UserError
from simex.hf.description import FILE
from simex.hf.export import export_checkpoint
from simex.hf.import_model import import_hf
from simex.models.config import ComputeDtype
from simex.train.saved_params import split_choice


@gin.configurable
def import_model(
    workdir: pathlib.Path, stage_dir: pathlib.Path, *, source: str
) -> None:
    """Writes model/: checkpoints/ (step 0), tokenizer/ and model.json.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      source: a Hugging Face folder, e.g. from launch/smollm2.
    """
    if not pathlib.Path(source).is_dir():
        raise UserError(
            f"import_model.source must be a folder; there is none at {source}. For "
            "SmolLM2 call launch/smollm2 first."
        )
    import_hf(pathlib.Path(source), stage_dir / "model")


@gin.configurable
def export_model(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    model: str,
    title: str = "simex",
    dtype: ComputeDtype = "bfloat16",
) -> None:
    """Writes model/, checked after writing; see hf.export.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      model: the stage whose last checkpoint is exported; STAGE@best: its best.
      title: of the model card.
      dtype: of the stored tensors.
    """
    stage, step = split_choice(model)
    export_checkpoint(
        model_folder(workdir, stage),
        stage_dir / "model",
        step=step,
        dtype=dtype,
        title=title,
    )


def model_folder(workdir: pathlib.Path, stage: str) -> pathlib.Path:
    """Where a stage left its model: its own folder, or model/ in it."""
    folder = workdir / stage
    return folder if (folder / FILE).is_file() else folder / "model"
