"""Packing of sequences into rows of T tokens, in numpy, for RL batches.

First-fit decreasing: sequences are taken longest first (ties in the given order) and
each goes into the first row that still has room. It needs at most 11/9 of the least
number of rows, plus 6/9 (Dósa, "The tight bound of first fit decreasing bin-packing",
2007); first-fit in arrival order may need 1.7 times as many. No sequence is ever split.

Sequences that begin alike may share their beginning, as the samples of a group share
their prompt: a row then holds it once, before the sequences that go on from it (Prefix
Grouper, arXiv 2506.05433, does so with attention of its own; here it is a mask). They are
then placed group by group; where that takes more rows, nothing is shared.
"""

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from simex.tokens.chat import Rendered


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """Rows of T tokens, and where each of the N sequences lies in them."""

    arrays: dict[str, np.ndarray]  # [B, T] each; names as in `pack`
    rows: np.ndarray  # int64 [N]
    columns: Sequence[np.ndarray]  # N times int64 [L], of each token

    @property
    def fill_share(self) -> float:
        """Share of positions that hold a token, over all rows."""
        is_used = self.arrays["segment_ids"] > 0
        return float(is_used.sum() / max(is_used.size, 1))

    def unpack(self, values_BT: np.ndarray) -> list[np.ndarray]:
        """The values of each sequence, in the order in which they were packed."""
        return [
            values_BT[row, columns]
            for row, columns in zip(self.rows, self.columns, strict=True)
        ]


def pack(
    sequences: Sequence[Rendered],
    seq_len: int,
    *,
    pad_id: int = 0,
    num_rows: int | None = None,
    extras: Mapping[str, Sequence[np.ndarray]] | None = None,
    num_shared: Sequence[int] | None = None,
) -> Packed:
    """Packs `sequences` into rows of `seq_len` tokens.

    Args:
      sequences: N sequences of 1 to `seq_len` tokens.
      seq_len: T.
      pad_id: token of unused positions.
      num_rows: B. Rows without a sequence are all padding, so that a jitted step always
        sees one shape. None: as many as are needed.
      extras: further arrays by name, e.g. "advantages"; one vector a sequence, of that
        sequence's length. Unused positions are 0.
      num_shared: N numbers: how many first tokens of each sequence may lie in a row
        once for all sequences with the same ones. Neither they nor the token after them
        may be targets: what a target follows has no other successor. Their extras must
        be 0. None: nothing is shared.

    Returns:
      `Packed` with `tokens`, `segment_ids` (0 = padding, 1.. in each row), `positions`
      (from 0 in each sequence) as int32, `loss_mask` as float32, and the extras as
      float32 where they are floating, else in their own type. With `num_shared` also
      `prefix_ids`, int32: the segment that a position sees beside its own; its own
      where there is none.

    Raises:
      ValueError: a sequence is empty or longer than T (it is named; nothing is ever
        cut), the rows do not suffice, an extra does not fit its sequence, or something
        that cannot be shared is to be.
    """
    lengths = np.array([len(s) for s in sequences], dtype=np.int64)
    _check_lengths(sequences, lengths, seq_len)
    rows, starts, segments = first_fit_decreasing(lengths, seq_len)
    places = [
        _Place(head=range(0), body=range(start, start + length), segment=segment)
        for start, length, segment in zip(starts, lengths, segments, strict=True)
    ]
    if num_shared is not None:
        _check_shared(sequences, num_shared, extras or {})
        shared_rows, shared_places = _share_beginnings(sequences, num_shared, seq_len)
        if shared_rows.max(initial=-1) <= rows.max(initial=-1):
            rows, places = shared_rows, shared_places
    num_needed = int(rows.max(initial=-1)) + 1
    num_rows = _checked_num_rows(num_rows, num_needed, seq_len=seq_len)
    shape = (num_rows, seq_len)
    arrays = {
        "tokens": np.full(shape, pad_id, dtype=np.int32),
        "segment_ids": np.zeros(shape, dtype=np.int32),
        "positions": np.zeros(shape, dtype=np.int32),
        "loss_mask": np.zeros(shape, dtype=np.float32),
    }
    if num_shared is not None:
        arrays["prefix_ids"] = np.zeros(shape, dtype=np.int32)
    packed = Packed(arrays=arrays, rows=rows, columns=[p.columns for p in places])
    for row, place, sequence in zip(rows, places, sequences, strict=True):
        arrays["tokens"][row, place.columns] = sequence.ids
        arrays["positions"][row, place.columns] = np.arange(len(sequence))
        arrays["loss_mask"][row, place.columns] = sequence.loss_mask
        arrays["segment_ids"][row, place.body] = place.segment
        if num_shared is not None:
            arrays["segment_ids"][row, place.head] = place.prefix
            arrays["prefix_ids"][row, place.columns] = place.prefix or place.segment
    for name, values in (extras or {}).items():
        arrays[name] = _place_extra(packed, name, values, sequences=sequences)
    return packed


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Place:
    """Where one sequence lies in its row."""

    head: range  # columns of what it shares
    body: range  # columns of the rest
    segment: int  # of the body
    prefix: int = 0  # segment of the head; 0: it shares nothing

    @functools.cached_property
    def columns(self) -> np.ndarray:
        parts = [np.arange(part.start, part.stop) for part in (self.head, self.body)]
        return np.concatenate(parts)


def first_fit_decreasing(
    lengths: np.ndarray, seq_len: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, start and segment id (from 1) of each of N lengths, int64 [N] each.

    Example: lengths [3, 5, 2, 4] in rows of 7: the 5 opens row 0, the 4 opens row 1,
    the 3 joins row 1, the 2 joins row 0. Rows [1, 0, 0, 1], starts [4, 0, 5, 0].
    """
    num = len(lengths)
    rows, starts, segments = (np.zeros(num, dtype=np.int64) for _ in range(3))
    # One row a sequence always suffices, so the first fit exists.
    used = np.zeros(num, dtype=np.int64)
    count = np.zeros(num, dtype=np.int64)
    for i in np.argsort(-lengths, kind="stable"):
        row = int(np.argmax(used + lengths[i] <= seq_len))
        rows[i], starts[i] = row, used[row]
        used[row] += lengths[i]
        count[row] += 1
        segments[i] = count[row]
    return rows, starts, segments


def _share_beginnings(
    sequences: Sequence[Rendered], num_shared: Sequence[int], seq_len: int
) -> tuple[np.ndarray, list[_Place]]:
    """Row and place of each sequence; those with one beginning come one after another.

    First-fit decreasing as above, but a row that has the beginning already is preferred
    and needs room for the rest alone.
    """
    heads = [s.ids[:n].tobytes() for s, n in zip(sequences, num_shared, strict=True)]
    counts = collections.Counter(heads)
    groups: dict[bytes, list[int]] = {}
    for i in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        groups.setdefault(heads[i], []).append(i)  # longest first, so are groups
    rows = np.zeros(len(sequences), dtype=np.int64)
    places: dict[int, _Place] = {}
    opened: list[_OpenRow] = []
    for i in (i for group in groups.values() for i in group):
        n = num_shared[i] if counts[heads[i]] > 1 else 0
        length, head = len(sequences[i]), heads[i] if n else b""
        fitting = [
            number
            for number, row in enumerate(opened)
            if row.length_with(length, head) <= seq_len
        ]
        having = [number for number in fitting if head in opened[number].heads]
        rows[i] = next(iter((*having, *fitting)), len(opened))
        if rows[i] == len(opened):
            opened.append(_OpenRow())
        places[i] = opened[rows[i]].add(length, head, n)
    return rows, [places[i] for i in range(len(sequences))]


def _check_shared(
    sequences: Sequence[Rendered],
    num_shared: Sequence[int],
    extras: Mapping[str, Sequence[np.ndarray]],
) -> None:
    for number, (sequence, n) in enumerate(zip(sequences, num_shared, strict=True)):
        name = f"{sequence.id!r} (number {number})"
        if not 0 <= n < len(sequence) or (n and sequence.loss_mask[: n + 1].any()):
            raise ValueError(
                f"{name} must share 0 to {len(sequence) - 1} of its tokens, and none of "
                f"them nor the next may be a target; num_shared is {n}."
            )
        for extra, values in extras.items():
            if np.any(values[number][:n]):
                raise ValueError(
                    f"Extra {extra!r} of {name} must be 0 at its {n} shared tokens."
                )


@dataclasses.dataclass(kw_only=True)
class _OpenRow:
    """What a row holds so far."""

    used: int = 0
    num_segments: int = 0
    heads: dict[bytes, tuple[range, int]] = dataclasses.field(default_factory=dict)

    def length_with(self, length: int, head: bytes) -> int:
        known = len(self.heads[head][0]) if head in self.heads else 0
        return self.used + length - known

    def add(self, length: int, head: bytes, num_shared: int) -> _Place:
        if num_shared and head not in self.heads:
            self.heads[head] = (self._take(num_shared), self.num_segments)
        columns, prefix = self.heads.get(head, (range(0), 0))
        body = self._take(length - num_shared)
        return _Place(head=columns, body=body, segment=self.num_segments, prefix=prefix)

    def _take(self, length: int) -> range:
        begin, self.used = self.used, self.used + length
        self.num_segments += 1
        return range(begin, self.used)


def _check_lengths(
    sequences: Sequence[Rendered], lengths: np.ndarray, seq_len: int
) -> None:
    wrong = np.flatnonzero((lengths > seq_len) | (lengths == 0))
    if len(wrong):
        first = sequences[wrong[0]]
        raise ValueError(
            f"A packed sequence must have 1 to {seq_len} tokens; {first.id!r} (number "
            f"{wrong[0]}) has {len(first)}, and {len(wrong)} of {len(lengths)} do not "
            "fit. Drop them and count them, or raise the row length."
        )


def _checked_num_rows(num_rows: int | None, num_needed: int, *, seq_len: int) -> int:
    if num_rows is None:
        return num_needed
    if num_needed > num_rows:
        raise ValueError(
            f"The sequences need {num_needed} rows of {seq_len} tokens; num_rows is "
            f"{num_rows}. Raise it, or pack fewer sequences at a time."
        )
    return num_rows


def _place_extra(
    packed: Packed,
    name: str,
    values: Sequence[np.ndarray],
    *,
    sequences: Sequence[Rendered],
) -> np.ndarray:
    if name in packed.arrays:
        raise ValueError(f"An extra must not be called {name!r}: packing makes that.")
    if len(values) != len(sequences):
        raise ValueError(
            f"Extra {name!r} must have one vector a sequence, {len(sequences)}; "
            f"got {len(values)}."
        )
    vectors = [np.asarray(v) for v in values]
    for sequence, vector in zip(sequences, vectors, strict=True):
        if vector.shape != sequence.ids.shape:
            raise ValueError(
                f"Extra {name!r} of {sequence.id!r} must have shape "
                f"{sequence.ids.shape}, as its tokens; got {vector.shape}."
            )
    dtype = np.result_type(*vectors) if vectors else np.dtype(np.float32)
    if np.issubdtype(dtype, np.floating):
        dtype = np.dtype(np.float32)
    out_BT = np.zeros(packed.arrays["tokens"].shape, dtype=dtype)
    for row, columns, vector in zip(packed.rows, packed.columns, vectors, strict=True):
        out_BT[row, columns] = vector
    return out_BT
