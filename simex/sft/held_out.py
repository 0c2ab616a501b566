"""What a model makes of examples that it is never trained on, while it is trained.

Two figures, of all examples and of each task:

* ``validation/loss``: nats a target token, with the right tokens before it.
* ``validation/reproduced``: share of examples whose whole target greedy decoding would
  give, token by token. It needs no sampler (`train.logprobs.token_hits`). For targets
  that are an answer alone it is the accuracy of greedy prediction; with an explanation
  before the answer it is less, as another explanation may lead to the same answer.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from simex.data.tokenized import TokenizedSplit
from simex.models.config import ModelConfig
from simex.models.transformer import Params
from simex.sharding.activations import placed
from simex.sharding.compiles import watch_compiles
from simex.sharding.mesh import batch_sharding, put_batch, replicated
from simex.tokens.packing import pack
from simex.train.best import PREFIX
from simex.train.logprobs import token_hits

FIGURES = ("loss", "reproduced")

# params -> name -> (total, weight)
Measure = Callable[[Params], dict[str, tuple[float, float]]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Packed examples; every evaluation looks at all of them."""

    batches: Sequence[Mapping[str, np.ndarray]]
    """[B, T] arrays as of training, and `example`: int32, from 1; 0 at padding."""

    tasks: Sequence[str]  # of example 1, 2, ...
    steps_between: int  # train steps; and after the last

    @property
    def metrics(self) -> list[str]:
        """The names of all that is measured."""
        places = ["", *(f"{task}/" for task in sorted(set(self.tasks)))]
        return [f"{PREFIX}{place}{name}" for place in places for name in FIGURES]


def pack_held_out(
    split: TokenizedSplit, *, batch_rows: int, steps_between: int
) -> HeldOut:
    """All examples of a split in batches of `batch_rows`; the last is filled up."""
    sequences = [task[i] for task in split.tasks.values() for i in range(len(task))]
    numbers = [np.full(len(s), n, np.int32) for n, s in enumerate(sequences, start=1)]
    packed = pack(
        sequences, split.seq_len, pad_id=split.pad_id, extras={"example": numbers}
    )
    missing = -len(packed.arrays["tokens"]) % batch_rows
    filled = {
        name: np.pad(array, ((0, missing), (0, 0)))
        for name, array in packed.arrays.items()
    }
    return HeldOut(
        batches=[
            {name: array[start : start + batch_rows] for name, array in filled.items()}
            for start in range(0, len(filled["tokens"]), batch_rows)
        ],
        tasks=[name for name, task in split.tasks.items() for _ in range(len(task))],
        steps_between=steps_between,
    )


def make_measure(held_out: HeldOut, model: ModelConfig, mesh: Mesh) -> Measure:
    """Compiles what `held_out` measures; every process gets the same numbers."""
    sum_examples = _make_sums(model, mesh, num_examples=len(held_out.tasks))

    def measure(params: Params) -> dict[str, tuple[float, float]]:
        sums = np.zeros((3, len(held_out.tasks)))
        for batch in held_out.batches:
            found = sum_examples(params, put_batch(dict(batch), mesh))
            sums += np.asarray(found, np.float64)
        return summarise(held_out.tasks, losses=sums[0], tokens=sums[1], misses=sums[2])

    return measure


def summarise(
    tasks: Sequence[str], *, losses: np.ndarray, tokens: np.ndarray, misses: np.ndarray
) -> dict[str, tuple[float, float]]:
    """The figures, from those of each example.

    Example: two examples of one task with losses 1 and 2 nats over 2 and 4 tokens, of
    which 0 and 3 were missed, give loss (3, 6) and reproduced (1, 2).
    """
    metrics = {}
    names = np.asarray(tasks)
    for place in ["", *sorted(set(tasks))]:
        own = names == place if place else np.ones(len(names), bool)
        prefix = f"{PREFIX}{place}/" if place else PREFIX
        metrics[f"{prefix}loss"] = (float(losses[own].sum()), float(tokens[own].sum()))
        num_hit = int((misses[own] == 0).sum())
        metrics[f"{prefix}reproduced"] = (float(num_hit), float(own.sum()))
    return metrics


def _make_sums(model: ModelConfig, mesh: Mesh, *, num_examples: int) -> Any:
    """(params, batch) -> [3, N]: nats, target tokens and missed ones of each example."""

    def sums(params: Params, batch: Mapping[str, jax.Array]) -> jax.Array:
        with placed(mesh):
            logprobs_BT, hits_BT = token_hits(model, params, batch)
        mask_BT = batch["loss_mask"]
        values = (-logprobs_BT * mask_BT, mask_BT, (1 - hits_BT) * mask_BT)
        of_example = batch["example"].reshape(-1)
        sum_up = lambda v_BT: jax.ops.segment_sum(
            v_BT.reshape(-1), of_example, num_segments=num_examples + 1
        )
        return jnp.stack([sum_up(v_BT)[1:] for v_BT in values])

    jitted = jax.jit(
        sums,
        in_shardings=(None, batch_sharding(mesh)),
        out_shardings=replicated(mesh),
    )
    return watch_compiles(jitted, "evaluation on held-out examples", max_shapes=1)
