"""Packing of sequences into rows of T tokens, in numpy, for RL batches.

First-fit decreasing: sequences are taken longest first (ties in the given order) and
each goes into the first row that still has room. It needs at most 11/9 of the least
number of rows, plus 6/9 (Dósa, "The tight bound of first fit decreasing bin-packing",
2007); first-fit in arrival order may need 1.7 times as many. No sequence is ever split.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from simex.tokens.chat import Rendered


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """Rows of T tokens, and where each of the N sequences lies in them."""

    arrays: dict[str, np.ndarray]  # [B, T] each; names as in `pack`
    rows: np.ndarray  # int64 [N]
    starts: np.ndarray  # int64 [N]
    lengths: np.ndarray  # int64 [N]

    @property
    def fill_share(self) -> float:
        """Share of positions that hold a token, over all rows."""
        return float(self.lengths.sum() / max(self.arrays["tokens"].size, 1))

    def unpack(self, values_BT: np.ndarray) -> list[np.ndarray]:
        """The values of each sequence, in the order in which they were packed."""
        return [
            values_BT[row, start : start + length]
            for row, start, length in zip(
                self.rows, self.starts, self.lengths, strict=True
            )
        ]


def pack(
    sequences: Sequence[Rendered],
    seq_len: int,
    *,
    pad_id: int = 0,
    num_rows: int | None = None,
    extras: Mapping[str, Sequence[np.ndarray]] | None = None,
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

    Returns:
      `Packed` with `tokens`, `segment_ids` (0 = padding, 1.. in each row), `positions`
      (from 0 in each sequence) as int32, `loss_mask` as float32, and the extras as
      float32 where they are floating, else in their own type.

    Raises:
      ValueError: a sequence is empty or longer than T (it is named; nothing is ever
        cut), the rows do not suffice, or an extra does not fit its sequence.
    """
    lengths = np.array([len(s) for s in sequences], dtype=np.int64)
    _check_lengths(sequences, lengths, seq_len)
    rows, starts, segments = first_fit_decreasing(lengths, seq_len)
    num_needed = int(rows.max(initial=-1)) + 1
    num_rows = _checked_num_rows(num_rows, num_needed, seq_len=seq_len)
    shape = (num_rows, seq_len)
    arrays = {
        "tokens": np.full(shape, pad_id, dtype=np.int32),
        "segment_ids": np.zeros(shape, dtype=np.int32),
        "positions": np.zeros(shape, dtype=np.int32),
        "loss_mask": np.zeros(shape, dtype=np.float32),
    }
    for i, sequence in enumerate(sequences):
        place = (rows[i], slice(starts[i], starts[i] + lengths[i]))
        arrays["tokens"][place] = sequence.ids
        arrays["segment_ids"][place] = segments[i]
        arrays["positions"][place] = np.arange(lengths[i])
        arrays["loss_mask"][place] = sequence.loss_mask
    packed = Packed(arrays=arrays, rows=rows, starts=starts, lengths=lengths)
    for name, values in (extras or {}).items():
        arrays[name] = _place_extra(packed, name, values, sequences=sequences)
    return packed


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
    for place, vector in zip(packed.unpack(out_BT), vectors, strict=True):
        place[:] = vector
    return out_BT
