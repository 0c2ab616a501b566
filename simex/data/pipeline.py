"""Packed batches from a tokenized split, with grain.

    each task: shuffled epochs -> mix by weight -> pack windows -> batch -> prefetch

Packing takes a window of examples and puts them into rows first-fit, longest first.
grain's own first-fit packing takes them as they come and closes all its rows when one
example fits into none. On one mixture of explanations and solutions (10 to 256 tokens,
rows of 256) that filled 89 % of the positions with 128 open rows, windows 94 %: half a
row hardly finds a partner. Rows eight times as long as the median example are filled to
98 % and more (tests/tokens/test_packing.py, on real lengths).

The iterator is a grain iterator: `get_state()` and `set_state()` resume it exactly, and
orbax saves it as it is. No process is forked: JAX is multi-threaded and would deadlock
in a fork. One thread prepares batches while the device works.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simex.core.errors import UserError
from simex.core.prng import host_rng
from simex.data.mixture import Mixture
from simex.data.parts import BatchParts, Share
from simex.data.tokenized import TokenizedSplit
from simex.tokens.chat import Rendered
from simex.tokens.packing import pack

if TYPE_CHECKING:
    # When it runs, grain is imported inside the functions: it brings jax along where
    # jax is installed, and importing a host room must not.
    import grain

# Examples that are packed together; more fill rows better and cost start-up time.
WINDOW_EXAMPLES = 1024

NUM_PREFETCHED_BATCHES = 4

Row = dict[str, np.ndarray]


def make_batches(
    split: TokenizedSplit,
    mixture: Mixture,
    *,
    batch_rows: int,
    seed: int,
    num_epochs: int | None = None,
    share: Share = Share(),
) -> BatchParts:
    """An iterator over batches; arguments and batches as in `make_batch_dataset`.

    Args:
      split: from `tokenized.tokenize_split`.
      mixture: which tasks, how often.
      batch_rows: of whole batches, over all parts.
      seed: of the order of examples and rows.
      num_epochs: None: for ever.
      share: the parts that this process reads; its batches hold their rows only.

    Raises:
      UserError: rows do not divide over the parts, or as `make_batch_dataset`.
    """
    if batch_rows % share.num_parts:
        raise UserError(
            f"batch_rows must divide over data_parts, but they are {batch_rows} and "
            f"{share.num_parts}."
        )
    parts = [
        iter(
            make_batch_dataset(
                split,
                mixture,
                batch_rows=batch_rows // share.num_parts,
                seed=seed,
                num_epochs=num_epochs,
                part=number,
                num_parts=share.num_parts,
            )
        )
        for number in range(share.first, share.first + share.num_read)
    ]
    return BatchParts(parts, share)


def make_batch_dataset(
    split: TokenizedSplit,
    mixture: Mixture,
    *,
    batch_rows: int,
    seed: int,
    num_epochs: int | None = None,
    part: int = 0,
    num_parts: int = 1,
) -> "grain.IterDataset":
    """The batches of a split.

    Args:
      split: from `tokenized.tokenize_split`; its `seq_len` is T.
      mixture: which tasks, how often.
      batch_rows: B, the rows of this part.
      seed: of the order of examples and rows.
      num_epochs: None: for ever. With weights, the end comes when the first task has
        been seen so often: no example is seen more often, and others less.
      part: number of this part.
      num_parts: how many parts there are; each has other examples.

    Returns:
      A dataset of dicts of [B, T] arrays: `tokens` int32, `segment_ids` int32 (0 =
      padding), `positions` int32, `loss_mask` float32. The last batch of a finite
      dataset is filled up with rows of padding.

    Raises:
      UserError: an unknown task in the mixture, or a task without a kept example.
    """
    import grain

    examples = _mix(
        split,
        mixture,
        seed=seed,
        num_epochs=num_epochs,
        every=slice(part, None, num_parts),
    )
    windows = examples.batch(WINDOW_EXAMPLES, batch_fn=list).map_with_index(
        _PackWindow(seq_len=split.seq_len, pad_id=split.pad_id, seed=seed)
    )
    # The source is memory: reading threads would only wait for each other.
    packed = windows.to_iter_dataset(grain.ReadOptions(num_threads=0))
    rows = grain.experimental.FlatMapIterDataset(packed, _Rows())
    batches = rows.batch(
        batch_rows, batch_fn=_StackRows(batch_rows=batch_rows, pad_id=split.pad_id)
    )
    return grain.experimental.ThreadPrefetchIterDataset(
        batches, prefetch_buffer_size=NUM_PREFETCHED_BATCHES
    )


def _mix(
    split: TokenizedSplit,
    mixture: Mixture,
    *,
    seed: int,
    num_epochs: int | None,
    every: slice,
) -> "grain.MapDataset":
    """The examples of one part: those at `every` of each shuffled source, mixed."""
    import grain

    shares = mixture.shares(split.tasks)
    for task in shares or ():
        _require_examples(split, task)
    sources = {
        task: grain.MapDataset.source(examples)
        for task, examples in split.tasks.items()
        if len(examples) and (shares is None or task in shares)
    }
    if not sources:
        _require_examples(split, next(iter(split.tasks)))

    def shuffled(source: "grain.MapDataset", *, name: str) -> "grain.MapDataset":
        epochs = _ShuffledEpochs(source, seed=seed, name=name, num_epochs=num_epochs)
        # Sliced before mixing: a mix is periodic, and every second element of a 1:1 mix
        # is of one task only.
        whole = grain.MapDataset.source(epochs)
        return whole if every == slice(0, None, 1) else whole[every]

    if shares is None:
        return shuffled(grain.MapDataset.concatenate([*sources.values()]), name="all")
    # Shuffled before mixing: a shuffled mixture would only ever see as much of a large
    # task as its share allows until the smallest task has ended.
    return grain.MapDataset.mix(
        [shuffled(source, name=task) for task, source in sources.items()],
        weights=[shares[task] for task in sources],
    )


class _ShuffledEpochs:
    """Every example once an epoch, each epoch in another order; random access.

    grain's own shuffle keeps no order in memory, but walks through 2 ^ 16 numbers or
    more to find one of few: 2 ms an example for a task with ten.
    """

    def __init__(self, examples: Any, *, seed: int, name: str, num_epochs: int | None):
        self._examples = examples
        self._seed = seed
        self._name = name
        self._length = sys.maxsize if num_epochs is None else num_epochs * len(examples)
        # Epoch and order in one value, so that threads never mix two epochs up.
        self._last: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Rendered:
        epoch, number = divmod(index, len(self._examples))
        return self._examples[int(self._order(epoch)[number])]

    def __repr__(self) -> str:
        return f"ShuffledEpochs({self._name!r}, {len(self._examples)} examples)"

    def _order(self, epoch: int) -> np.ndarray:
        last, order = self._last
        if last != epoch:
            rng = host_rng(self._seed, "data", "examples", self._name, epoch)
            order = rng.permutation(len(self._examples))
            self._last = (epoch, order)
        return order


def _require_examples(split: TokenizedSplit, task: str) -> None:
    if not len(split.tasks[task]):
        lengths = split.report.tasks[task]
        raise UserError(
            f"Task {task!r} must have an example of at most {split.seq_len} tokens; "
            f"all {lengths.num_examples} are longer (shortest {lengths.shortest}). "
            "Raise the row length, shorten the examples, or leave the task out."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PackWindow:
    """Packs a window of examples into rows, in an order that depends on the seed."""

    seq_len: int
    pad_id: int
    seed: int

    def __call__(self, index: int, examples: Sequence[Rendered]) -> list[Row]:
        packed = pack(examples, self.seq_len, pad_id=self.pad_id)
        num_rows = len(packed.arrays["tokens"])
        # Rows come out longest example first; batches must not be sorted by length.
        order = host_rng(self.seed, "data", "rows", int(index)).permutation(num_rows)
        return [{name: a[i] for name, a in packed.arrays.items()} for i in order]


class _Rows:
    """Each window gives as many elements as it has rows."""

    max_fan_out = WINDOW_EXAMPLES

    def flat_map(self, rows: list[Row]) -> list[Row]:
        return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _StackRows:
    """Stacks rows; a last, shorter batch is filled up with rows of padding."""

    batch_rows: int
    pad_id: int

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        batch = {}
        for name, first in rows[0].items():
            fill = self.pad_id if name == "tokens" else 0
            shape = (self.batch_rows, *first.shape)
            batch[name] = np.full(shape, fill, dtype=first.dtype)
            np.stack([row[name] for row in rows], out=batch[name][: len(rows)])
        return batch
