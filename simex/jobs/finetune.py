"""Job: supervised fine-tuning of an imported model."""

import dataclasses
import pathlib
from collections.abc import Sequence

import gin

from simex.core.stages import on_all_processes
from simex.data.mixture import Mixture
from simex.hf.description import CHECKPOINTS, TOKENIZER, load_description
from simex.jobs.held_out import HeldOutExamples
from simex.jobs.import_model import model_folder
from simex.jobs.pretrained import (
    adapt_model,
    describe_checkpoints,
    require_positions,
)
from simex.jobs.supervised import Supervision, learn_examples
from simex.models.config import ComputeDtype, RematPolicy
from simex.models.layout import stack_layers, unstack_layers
from simex.models.rope import RopeScaling
from simex.models.transformer import Params
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.tokens.saved import load_tokenizer
from simex.train.optimizer import OptimizerName
from simex.train.saved_params import load_params, split_choice


@gin.configurable
@on_all_processes
def finetune(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    model: str,
    dataset: str,
    seed: int,
    num_steps: int,
    batch_rows: int,
    seq_len: int,
    learning_rate: float,
    warmup_steps: int = 20,
    optimizer: OptimizerName = "adamw",
    compute_dtype: ComputeDtype = "float32",
    remat: RematPolicy = "none",
    scan_layers: bool = False,
    rope_scaling: RopeScaling | None = None,
    num_micro_batches: int = 1,
    mixture: Mixture = Mixture(),
    more_examples: Sequence[str] = (),
    mesh: MeshConfig = MeshConfig(),
    steps_between_saves: int = 50,
    data_parts: int = 1,
    validation: HeldOutExamples | None = None,
) -> None:
    """Writes checkpoints/, tokenizer/, model.json, metrics.jsonl and lengths.txt.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      model: the stage that imported or trained the model to start from; STAGE@best.
      dataset: the folder in the workdir that holds the examples.
      seed: of the order of examples.
      num_steps: train steps; the learning rate falls to 0 there.
      batch_rows: rows of a train step on all devices.
      seq_len: tokens of a row; longer examples are left out and counted.
      learning_rate: its peak.
      warmup_steps: train steps until the peak.
      optimizer: "adamw" or "muon".
      compute_dtype: of matmul inputs.
      remat: what the backward pass computes again; a name in models.config.
      scan_layers: compile one layer instead of all.
      rope_scaling: for rows longer than those of pre-training; None leaves RoPE alone.
      num_micro_batches: parts of a batch, one after the other, to save memory.
      mixture: how often each task is drawn.
      more_examples: JSON-lines files of examples from elsewhere, such as long reasoning:
        id, task, prompt and target a line. A task may be any word; `mixture` names it.
      mesh: the devices.
      steps_between_saves: how much work an interruption may cost.
      data_parts: streams that a batch is made of. With 1 each process reads all data
        and uses its rows; with a multiple of the processes each reads its own part.
      validation: loss and accuracy on held-out examples on the way; None: none.
    """
    stage, start = split_choice(model)
    folder, devices = model_folder(workdir, stage), make_mesh(mesh)
    description = load_description(folder)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    config = adapt_model(
        description.config,
        compute_dtype=compute_dtype,
        remat=remat,
        scan_layers=scan_layers,
        rope_scaling=rope_scaling,
    )
    require_positions(config, seq_len)

    def load() -> Params:
        stored = description.config
        params = load_params(folder / CHECKPOINTS, stored, mesh=devices, step=start)
        return (stack_layers if scan_layers else unstack_layers)(stored, params)

    described = dataclasses.replace(description, config=config)
    describe_checkpoints(stage_dir, described, tokenizer)
    learn_examples(
        stage_dir,
        workdir / dataset,
        Supervision(
            seed=seed,
            num_steps=num_steps,
            batch_rows=batch_rows,
            seq_len=seq_len,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            optimizer=optimizer,
            mixture=mixture,
            data_parts=data_parts,
            steps_between_saves=steps_between_saves,
            validation=validation,
            num_micro_batches=num_micro_batches,
        ),
        model=config,
        tokenizer=tokenizer,
        mesh=devices,
        load_initial=load,
        more_examples=more_examples,
    )
