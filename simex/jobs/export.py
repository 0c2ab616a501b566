"""Job: the final checkpoint as a folder that transformers loads."""

import pathlib

import gin

from simex.hf.export import export_hf
from simex.jobs.setup import Setup
from simex.models.config import ComputeDtype


@gin.configurable
def export(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    checkpoint: str = "train_rl",
    title: str = "simex",
    dtype: ComputeDtype = "float32",
) -> None:
    """Writes model/, checked after writing; see hf.export.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      checkpoint: the stage whose last checkpoint is exported; STAGE@best: its best.
      title: of the model card.
      dtype: of the stored tensors.
    """
    params = setup.load_params(workdir, checkpoint, mesh=setup.make_mesh())
    export_hf(
        stage_dir / "model",
        params,
        config=setup.load_model(workdir),
        tokenizer=workdir / "train_tokenizer" / "tokenizer.model",
        title=title,
        about="Trained by simex to simulate programs, to solve, check and repair.",
        operative_config=(workdir / "config.gin").read_text(encoding="utf-8"),
        dtype=dtype,
    )
