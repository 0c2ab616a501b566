"""The decoder of a run that starts from an imported model."""

import dataclasses
import pathlib

from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.hf.description import (
    CHECKPOINTS,
    TOKENIZER,
    Description,
    load_description,
    save_description,
)
from simex.jobs.import_model import model_folder
from simex.models.config import ComputeDtype, ModelConfig, RematPolicy
from simex.models.layout import stack_layers, unstack_layers
from simex.models.rope import RopeScaling
from simex.models.transformer import Params
from simex.sharding.processes import is_first
from simex.tokens.saved import AnyTokenizer, load_tokenizer, save_tokenizer
from simex.train.saved_params import load_params, split_choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedDecoder:
    """The model of a stage that imported or fine-tuned one, and its own tokenizer.

    Example: ``PretrainedDecoder(stage="finetune", max_positions=65536)``.
    """

    stage: str
    # Of a row and of a sample; None: all it knows. The model that a stage leaves still
    # knows all of them.
    max_positions: int | None = None
    compute_dtype: ComputeDtype = "float32"
    remat: RematPolicy = "none"
    scan_layers: bool = False

    def load_config(self, workdir: pathlib.Path) -> ModelConfig:
        """The model as this run computes it."""
        return self.adapt(self._load_description(workdir).config)

    def load_tokenizer(self, workdir: pathlib.Path) -> AnyTokenizer:
        """The model's own."""
        return load_tokenizer(model_folder(workdir, self.stage) / TOKENIZER)

    def load_stop_ids(self, workdir: pathlib.Path) -> tuple[int, ...]:
        """All ids that end a completion."""
        return self._load_description(workdir).stop_ids

    def load_params(
        self, workdir: pathlib.Path, checkpoint: str, *, mesh: Mesh
    ) -> Params:
        """Those of a stage's newest checkpoint, or of its best as "STAGE@best".

        Layers are as this run wants them.
        """
        stage, step = split_choice(checkpoint)
        folder = model_folder(workdir, stage)
        stored = load_description(folder).config
        params = load_params(folder / CHECKPOINTS, stored, mesh=mesh, step=step)
        convert = stack_layers if self.scan_layers else unstack_layers
        return convert(stored, params)

    def save_description(self, workdir: pathlib.Path, stage_dir: pathlib.Path) -> None:
        """Leaves in a stage what others need to load its checkpoints."""
        found = self._load_description(workdir)
        description = dataclasses.replace(found, config=self.left_by(found.config))
        describe_checkpoints(stage_dir, description, self.load_tokenizer(workdir))

    def left_by(self, config: ModelConfig) -> ModelConfig:
        """The model that a stage leaves: rows of a stage do not shorten its context."""
        return adapt_model(
            config,
            compute_dtype=self.compute_dtype,
            remat=self.remat,
            scan_layers=self.scan_layers,
        )

    def adapt(self, config: ModelConfig) -> ModelConfig:
        """`config` with the choices of this run, as long as its rows."""
        adapted = self.left_by(config)
        if self.max_positions is None:
            return adapted
        require_positions(adapted, self.max_positions)
        return dataclasses.replace(adapted, max_positions=self.max_positions)

    def _load_description(self, workdir: pathlib.Path) -> Description:
        return load_description(model_folder(workdir, self.stage))


def describe_checkpoints(
    folder: pathlib.Path, description: Description, tokenizer: AnyTokenizer
) -> None:
    """Leaves model.json and tokenizer/ beside a stage's checkpoints; one process does."""
    if is_first():
        (folder / TOKENIZER).mkdir(exist_ok=True)
        save_tokenizer(tokenizer, folder / TOKENIZER)
        save_description(folder, description)


def adapt_model(
    config: ModelConfig,
    *,
    compute_dtype: str,
    remat: str,
    scan_layers: bool,
    rope_scaling: RopeScaling | None = None,
) -> ModelConfig:
    """A pretrained model as one stage computes it; a scaled RoPE knows more positions."""
    return dataclasses.replace(
        config,
        max_positions=_scaled_positions(config, rope_scaling),
        rope_scaling=rope_scaling or config.rope_scaling,
        compute_dtype=compute_dtype,
        remat=remat,
        scan_layers=scan_layers,
    )


def _scaled_positions(config: ModelConfig, scaling: RopeScaling | None) -> int:
    """The positions that a model knows once its RoPE is scaled so.

    The factor is that of the context of pre-training: two stages with one scaling scale
    once.
    """
    if scaling in (None, config.rope_scaling):
        return config.max_positions
    before = config.rope_scaling
    original = (
        scaling.original_max_positions
        or before.original_max_positions
        or round(config.max_positions / before.factor)
    )
    return round(original * scaling.factor)


def require_positions(config: ModelConfig, num_positions: int) -> None:
    """Raises UserError for rows longer than the model knows positions."""
    if num_positions > config.max_positions:
        raise UserError(
            f"Rows must have at most the {config.max_positions} positions that the "
            f"model knows; got {num_positions}. Shorten them, or scale RoPE where the "
            "model is fine-tuned (finetune.rope_scaling = @RopeScaling())."
        )
