"""A split as token ids in memory, and what was too long for a row.

Tokenizing once before training keeps the input pipeline far ahead of any device and
makes the number of examples, and so an epoch, exact: nothing is filtered on the way.
One example takes 4 bytes a token, so a million of 150 tokens take 600 MB.
"""

import array
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from simex.core.errors import UserError
from simex.data.records import Example
from simex.tokens.chat import Rendered, render
from simex.tokens.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedTask:
    """The kept examples of one task; random access for grain."""

    ids: np.ndarray  # int32, all examples end to end
    ends: np.ndarray  # int64 [N]; where each example ends in `ids`
    num_prompt_tokens: np.ndarray  # int32 [N]; with both chat markers

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Rendered:
        """One example, as `chat.render` made it."""
        start = 0 if index == 0 else self.ends[index - 1]
        ids = self.ids[start : self.ends[index]]
        loss_mask = np.ones(len(ids), dtype=np.float32)
        loss_mask[: self.num_prompt_tokens[index]] = 0.0
        return Rendered(ids=ids, loss_mask=loss_mask)

    def __repr__(self) -> str:
        # grain puts this into its messages; the arrays would flood them.
        return f"TokenizedTask(num_examples={len(self)}, num_tokens={len(self.ids)})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskLengths:
    """Lengths in tokens of all examples of a task, kept or not."""

    num_examples: int
    num_too_long: int  # longer than a row, hence left out
    mean: float
    median: float
    percentile_95: float
    longest: int
    shortest: int
    longest_id: str
    num_tokens: int  # of the kept ones
    num_loss_tokens: int  # of the kept ones


@dataclasses.dataclass(frozen=True, kw_only=True)
class LengthReport:
    """What tokenizing a split found, by task."""

    seq_len: int
    tasks: Mapping[str, TaskLengths]

    @property
    def num_too_long(self) -> int:
        return sum(task.num_too_long for task in self.tasks.values())

    def __str__(self) -> str:
        rows = [
            f"{name}: {t.num_examples} examples, {t.num_too_long} longer than "
            f"{self.seq_len} left out; tokens: mean {t.mean:.0f}, median "
            f"{t.median:.0f}, 95 % {t.percentile_95:.0f}, longest {t.longest} "
            f"({t.longest_id}); {t.num_tokens} tokens kept, {t.num_loss_tokens} of "
            "them targets"
            for name, t in self.tasks.items()
        ]
        return "\n".join(rows)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedSplit:
    """All tasks of a split, ready for `pipeline.make_batches`."""

    tasks: Mapping[str, TokenizedTask]  # sorted by name; a task may be empty
    report: LengthReport
    pad_id: int

    @property
    def seq_len(self) -> int:
        return self.report.seq_len


def tokenize_split(
    examples: Iterable[Example],
    tokenizer: Tokenizer,
    *,
    seq_len: int,
    tasks: Sequence[str] | None = None,
) -> TokenizedSplit:
    """Renders every example of a split to ids.

    Args:
      examples: e.g. of `builder.load_split`; wrap them in `progress` to see it.
      tokenizer: gives the ids.
      seq_len: T; longer examples are left out and counted, never cut.
      tasks: only these. None: all.

    Raises:
      UserError: a task that the split lacks, or no example at all.
    """
    collectors: dict[str, _Collector] = {}
    for example in examples:
        if tasks is None or example.task in tasks:
            collector = collectors.setdefault(example.task, _Collector(seq_len))
            collector.add(example, tokenizer)
    missing = set(tasks or ()) - set(collectors)
    if missing or not collectors:
        raise UserError(
            "A split must hold examples of every task that is asked for; it has none "
            f"of {', '.join(sorted(missing)) or 'any task'}."
        )
    names = sorted(collectors)
    return TokenizedSplit(
        tasks={name: collectors[name].task() for name in names},
        report=LengthReport(
            seq_len=seq_len, tasks={name: collectors[name].lengths() for name in names}
        ),
        pad_id=tokenizer.pad_id,
    )


class _Collector:
    """Grows the arrays of one task."""

    def __init__(self, seq_len: int):
        self._seq_len = seq_len
        self._ids = array.array("i")
        self._ends = array.array("q")
        self._num_prompt_tokens = array.array("i")
        self._lengths = array.array("i")
        self._longest = 0
        self._longest_id = ""

    def add(self, example: Example, tokenizer: Tokenizer) -> None:
        rendered = render(tokenizer, example.prompt, example.target, id=example.id)
        if len(rendered) > self._longest:
            self._longest = len(rendered)
            self._longest_id = example.id
        self._lengths.append(len(rendered))
        if len(rendered) <= self._seq_len:
            self._keep(rendered)

    def _keep(self, rendered: Rendered) -> None:
        self._ids.frombytes(rendered.ids.tobytes())
        self._ends.append(len(self._ids))
        self._num_prompt_tokens.append(int((rendered.loss_mask == 0).sum()))

    def task(self) -> TokenizedTask:
        return TokenizedTask(
            ids=np.array(self._ids, dtype=np.int32),
            ends=np.array(self._ends, dtype=np.int64),
            num_prompt_tokens=np.array(self._num_prompt_tokens, dtype=np.int32),
        )

    def lengths(self) -> TaskLengths:
        lengths = np.array(self._lengths)
        num_prompt_tokens = int(np.sum(self._num_prompt_tokens, dtype=np.int64))
        return TaskLengths(
            num_examples=len(lengths),
            num_too_long=len(lengths) - len(self._ends),
            mean=float(lengths.mean()),
            median=float(np.median(lengths)),
            percentile_95=float(np.percentile(lengths, 95)),
            longest=int(lengths.max()),
            shortest=int(lengths.min()),
            longest_id=self._longest_id,
            num_tokens=len(self._ids),
            num_loss_tokens=len(self._ids) - num_prompt_tokens,
        )
