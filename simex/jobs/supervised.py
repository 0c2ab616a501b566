"""What `train_sft` and `finetune` have in common: from a folder of examples to params."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence

from jax.sharding import Mesh

from simex.core.files import write_atomically
from simex.core.prng import key
from simex.data.builder import load_split
from simex.data.mixture import Mixture
from simex.data.parts import share_of
from simex.data.pipeline import make_batches
from simex.data.records import load_written
from simex.data.tokenized import tokenize_split
from simex.jobs.held_out import HeldOutExamples
from simex.models.config import ModelConfig
from simex.models.transformer import Params
from simex.sft.loop import SftConfig, run_sft
from simex.sharding.processes import is_first, num_processes, process_number
from simex.tokens.tokenizer import Tokenizer
from simex.train.optimizer import OptimizerConfig, OptimizerName


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervision:
    """How examples become updates; the learning rate falls to 0 at the last one."""

    seed: int  # of the order of examples, and of params that nobody loads
    num_steps: int
    batch_rows: int  # of a train step, on all devices
    seq_len: int  # tokens of a row; longer examples are left out and counted
    learning_rate: float  # its peak, after `warmup_steps`
    warmup_steps: int
    optimizer: OptimizerName
    mixture: Mixture
    data_parts: int
    steps_between_saves: int
    validation: HeldOutExamples | None
    num_micro_batches: int = 1


def learn_examples(
    stage_dir: pathlib.Path,
    examples: pathlib.Path,
    supervision: Supervision,
    *,
    model: ModelConfig,
    tokenizer: Tokenizer,
    mesh: Mesh,
    load_initial: Callable[[], Params] | None,
    more_examples: Sequence[str] = (),
) -> None:
    """Writes checkpoints/, metrics.jsonl and lengths.txt.

    Args:
      stage_dir: of the stage.
      examples: the folder of a dataset.
      supervision: how much is learned, and how.
      model: the decoder.
      tokenizer: of the examples.
      mesh: the devices.
      load_initial: the params to begin from; None draws them from the seed.
      more_examples: files of further examples, as `data.records.load_written` reads.
    """
    optimizer = OptimizerConfig(  # first: it refuses numbers that cannot be
        name=supervision.optimizer,
        learning_rate=supervision.learning_rate,
        warmup_steps=supervision.warmup_steps,
        schedule="linear",
        num_steps=supervision.num_steps,
    )
    source = load_split(examples, "train")
    split = tokenize_split(
        itertools.chain(
            (source[index] for index in range(len(source))),
            *(load_written(pathlib.Path(path)) for path in more_examples),
        ),
        tokenizer,
        seq_len=supervision.seq_len,
    )
    if is_first():
        with write_atomically(stage_dir / "lengths.txt") as file:
            file.write(f"{split.report}\n")
    share = share_of(
        supervision.data_parts,
        process=process_number(),
        num_processes=num_processes(),
    )
    batches = make_batches(
        split,
        supervision.mixture,
        batch_rows=supervision.batch_rows,
        seed=supervision.seed,
        share=share,
    )
    validation = supervision.validation
    held_out = None
    if validation is not None:
        held_out = validation.load(
            examples,
            tokenizer,
            seq_len=supervision.seq_len,
            batch_rows=supervision.batch_rows // supervision.num_micro_batches,
        )
    run_sft(
        stage_dir,
        batches,
        config=SftConfig(
            num_steps=supervision.num_steps,
            steps_between_saves=supervision.steps_between_saves,
            num_micro_batches=supervision.num_micro_batches,
            keep_best=validation.keep_best if validation else "",
        ),
        model=model,
        optimizer=optimizer,
        mesh=mesh,
        key=key(supervision.seed, "params"),
        load_initial=load_initial,
        held_out=held_out,
    )
