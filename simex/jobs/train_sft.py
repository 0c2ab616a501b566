"""Job: supervised fine-tuning from scratch, on explanations or on direct answers."""

import pathlib

import gin

from simex.core.files import write_atomically
from simex.core.prng import key
from simex.core.stages import on_all_processes
from simex.data.builder import load_split
from simex.data.mixture import Mixture
from simex.data.parts import share_of
from simex.data.pipeline import make_batches
from simex.data.tokenized import tokenize_split
from simex.jobs.setup import Setup
from simex.sft.loop import SftConfig, run_sft
from simex.sharding.processes import is_first, num_processes, process_number
from simex.train.optimizer import OptimizerConfig


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
    optimizer: str = "muon",
    variant: str = "nlex",
    mixture: Mixture = Mixture(),
    steps_between_saves: int = 100,
    data_parts: int = 1,
) -> None:
    """Writes checkpoints/, metrics.jsonl and lengths.txt.

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
      variant: which dataset of build_dataset to learn from: "nlex" or "direct".
      mixture: how often each task is drawn.
      steps_between_saves: how much work an interruption may cost.
      data_parts: streams that a batch is made of. With 1 each process reads all data
        and uses its rows; with a multiple of the processes each reads its own part.
    """
    tokenizer = setup.load_tokenizer(workdir)
    model = setup.decoder.fit(tokenizer)
    source = load_split(workdir / "build_dataset" / variant, "train")
    split = tokenize_split(
        (source[index] for index in range(len(source))),
        tokenizer,
        seq_len=model.max_positions,
    )
    if is_first():
        with write_atomically(stage_dir / "lengths.txt") as file:
            file.write(f"{split.report}\n")
    batches = make_batches(
        split,
        mixture,
        batch_rows=batch_rows,
        seed=seed,
        share=share_of(
            data_parts, process=process_number(), num_processes=num_processes()
        ),
    )
    run_sft(
        stage_dir,
        batches,
        config=SftConfig(num_steps=num_steps, steps_between_saves=steps_between_saves),
        model=model,
        optimizer=OptimizerConfig(
            name=optimizer,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            schedule="linear",
            num_steps=num_steps,
        ),
        mesh=setup.make_mesh(),
        key=key(seed, "params"),
    )
