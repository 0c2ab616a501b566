"""What training looks at on the way, and never learns from."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.prng import host_rng
from simex.data.builder import load_split
from simex.data.records import Example
from simex.data.tokenized import tokenize_split
from simex.rl.held_out import HeldOutItems
from simex.rollouts.objective import Objective
from simex.sft.held_out import HeldOut, pack_held_out
from simex.tokens.tokenizer import Tokenizer

SPLIT = "validation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutExamples:
    """For supervised training: the validation split of its dataset.

    An evaluation costs about a third of training on as many tokens.
    """

    steps_between: int = 100  # train steps between evaluations; and after the last
    max_examples: int = 64  # of each task, drawn: the same ones in every run
    keep_best: str = ""
    """The metric, such as "validation/loss" or "validation/predict_output/reproduced",
    by which the best checkpoint is kept beside the newest; `STAGE@best` loads it."""

    def __post_init__(self) -> None:
        """Raises UserError for a number below 1."""
        _refuse_below_one(self.steps_between, self.max_examples)

    def load(
        self,
        dataset: pathlib.Path,
        tokenizer: Tokenizer,
        *,
        seq_len: int,
        batch_rows: int,
    ) -> HeldOut:
        """The examples as batches; what is longer than a row is left out."""
        examples = draw_of_each_task(load_split(dataset, SPLIT), self.max_examples)
        split = tokenize_split(examples, tokenizer, seq_len=seq_len)
        if not any(map(len, split.tasks.values())):
            raise UserError(
                f"The split {SPLIT!r} in {dataset} must hold an example of at most "
                f"{seq_len} tokens; it holds none. Make rows longer, or train without "
                "validation."
            )
        return pack_held_out(
            split, batch_rows=batch_rows, steps_between=self.steps_between
        )


def draw_of_each_task(examples: Sequence[Example], number: int) -> Iterator[Example]:
    """`number` examples of each task, the same whenever the examples are the same.

    Not the first ones: a dataset may be stored in the order of its sources.
    """
    seen: collections.Counter[str] = collections.Counter()
    rng = host_rng(0, "held-out examples")
    for index in rng.permutation(len(examples)).tolist():
        example = examples[index]
        seen[example.task] += 1
        if seen[example.task] <= number:
            yield example


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutProblems:
    """For RL: rewards on the items that each objective has in the validation split."""

    steps_between: int = 10  # train steps between evaluations; and after the last
    max_items: int = 64  # of each objective: the first, see `run_programs`
    samples: int = 1  # of each item
    temperature: float = 0.0  # 0 takes the most likely tokens
    keep_best: str = ""
    """The metric, such as "validation/reward" or "validation/solve/passed", by which
    the best checkpoint is kept beside the newest; `STAGE@best` loads it."""

    def __post_init__(self) -> None:
        """Raises UserError for a number below 1."""
        _refuse_below_one(self.steps_between, self.max_items, self.samples)

    def load(
        self,
        workdir: pathlib.Path,
        objectives: Sequence[tuple[Objective, Sequence[Any]]],
        *,
        seed: int,
    ) -> HeldOutItems:
        """The items, none of which `objectives` train on."""
        return HeldOutItems.of(
            [
                (objective, items, objective.load_items(workdir, split=SPLIT))
                for objective, items in objectives
            ],
            steps_between=self.steps_between,
            max_items=self.max_items,
            samples=self.samples,
            temperature=self.temperature,
            seed=seed,
        )


def _refuse_below_one(*numbers: int) -> None:
    if min(numbers) < 1:
        raise UserError(
            "Steps between evaluations, and how much is looked at, must be at least 1; "
            f"got {', '.join(map(str, numbers))}. To look at nothing, set no validation."
        )
