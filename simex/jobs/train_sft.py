"""Job: supervised fine-tuning on explanations or on direct answers, of any start."""

import functools
import pathlib

import gin

from simex.core.stages import on_all_processes
from simex.data.mixture import Mixture
from simex.jobs.build_dataset import Variant
from simex.jobs.held_out import HeldOutExamples
from simex.jobs.setup import Setup
from simex.jobs.supervised import Supervision, learn_examples
from simex.train.optimizer import OptimizerName


@gin.configurable
@on_all_processes
def train_sft(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    seed: int,
    num_steps: int,
    batch_rows: int,
    learning_rate: float,
    warmup_steps: int = 20,
    optimizer: OptimizerName = "muon",
    dataset: str = "build_dataset",
    variant: Variant = "nlex",
    init_from: str = "",
    mixture: Mixture = Mixture(),
    steps_between_saves: int = 100,
    data_parts: int = 1,
    validation: HeldOutExamples | None = None,
) -> None:
    """Writes checkpoints/, tokenizer/, model.json, metrics.jsonl and lengths.txt.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      seed: of the params and of the order of examples.
      num_steps: train steps of `batch_rows` rows; the learning rate falls to 0 there.
      batch_rows: rows of a train step on all devices, each `max_positions` long.
      learning_rate: its peak.
      warmup_steps: train steps until the peak.
      optimizer: "muon" or "adamw".
      dataset: the build_dataset stage to learn from.
      variant: its part: "nlex" or "direct".
      init_from: the stage whose newest params to begin from; "": drawn from the seed.
      mixture: how often each task is drawn.
      steps_between_saves: how much work an interruption may cost.
      data_parts: streams that a batch is made of. With 1 each process reads all data
        and uses its rows; with a multiple of the processes each reads its own part.
      validation: loss and accuracy on held-out examples on the way; None: none.
    """
    setup.decoder.save_description(workdir, stage_dir)
    model, mesh = setup.load_model(workdir), setup.make_mesh()
    load_initial = None
    if init_from:
        load_initial = functools.partial(
            setup.load_params, workdir, init_from, mesh=mesh
        )
    learn_examples(
        stage_dir,
        workdir / dataset / variant,
        Supervision(
            seed=seed,
            num_steps=num_steps,
            batch_rows=batch_rows,
            seq_len=model.max_positions,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            optimizer=optimizer,
            mixture=mixture,
            data_parts=data_parts,
            steps_between_saves=steps_between_saves,
            validation=validation,
        ),
        model=model,
        tokenizer=setup.load_tokenizer(workdir),
        mesh=mesh,
        load_initial=load_initial,
    )
