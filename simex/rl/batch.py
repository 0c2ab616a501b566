"""From groups of rollouts to packed rows with an advantage on every sampled token."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from simex.rl.turn_advantage import turn_advantages
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.tokens.chat import Rendered
from simex.tokens.packing import pack


@dataclasses.dataclass(frozen=True, kw_only=True)
class RlBatch:
    """The rows of one update, and what was left out of them."""

    micro_batches: tuple[dict[str, np.ndarray], ...]
    """Each [rows, T]: tokens, segment_ids, positions, loss_mask, advantages,
    sampler_logprobs."""

    num_rollouts: int  # valid ones, in flat groups too: the loss is divided by it
    num_trained: int  # rollouts with an advantage other than 0
    num_lost: int  # rollouts without a reward, by a fault of ours


def make_batch(
    groups: Sequence[Group], *, advantage: str, rows: int, seq_len: int
) -> RlBatch:
    """Packs every turn of every rollout whose advantage is not 0.

    What each turn earns, `rl.turn_advantage` says. Flat groups teach nothing and are
    left out of the rows, but they stay in the denominator.

    Args:
      groups: of one train step.
      advantage: a name in rl.advantage.ADVANTAGES.
      rows: of a micro-batch.
      seq_len: T; a turn that is longer is refused, never cut.
    """
    sequences: list[Rendered] = []
    advantages: list[np.ndarray] = []
    logprobs: list[np.ndarray] = []
    num_trained = 0
    for values, rollout in _weigh(groups, advantage):
        num_trained += 1
        for value, turn in zip(values, rollout.turns, strict=True):
            if value != 0:
                sequences.append(
                    Rendered.from_ids(turn.prompt_ids, turn.completion_ids)
                )
                advantages.append(np.full(len(sequences[-1]), value, np.float32))
                logprobs.append(_align_logprobs(turn))
    valid = sum(len(group.valid_rollouts) for group in groups)
    asked = sum(len(group.rollouts) for group in groups)
    return RlBatch(
        micro_batches=_split(sequences, advantages, logprobs, rows, seq_len),
        num_rollouts=valid,
        num_trained=num_trained,
        num_lost=asked - valid,
    )


def make_probe(
    groups: Sequence[Group], *, rows: int, seq_len: int
) -> dict[str, np.ndarray] | None:
    """One micro-batch of sampled turns with advantage 0, flat groups among them.

    It changes no weight: the first update's invariants are measured on it even where
    no group carries a signal. None when nothing was sampled.
    """
    turns = [t for g in groups for r in g.rollouts for t in r.turns if t.is_trained]
    if not turns:
        return None
    turns = turns[:rows]  # a turn never needs more than a row
    return _split(
        [Rendered.from_ids(turn.prompt_ids, turn.completion_ids) for turn in turns],
        [
            np.zeros(len(turn.prompt_ids) + len(turn.completion_ids), np.float32)
            for turn in turns
        ],
        [_align_logprobs(turn) for turn in turns],
        rows,
        seq_len,
    )[0]


def _weigh(
    groups: Sequence[Group], advantage: str
) -> Iterator[tuple[tuple[float, ...], Rollout]]:
    for group in groups:
        found = turn_advantages(group, advantage)
        for values, rollout in zip(found, group.valid_rollouts, strict=True):
            if any(values):
                yield values, rollout


def _align_logprobs(turn: Turn) -> np.ndarray:
    return np.concatenate(
        [np.zeros(len(turn.prompt_ids), np.float32), turn.sampler_logprobs]
    )


def _split(
    sequences: list[Rendered],
    advantages: list[np.ndarray],
    logprobs: list[np.ndarray],
    rows: int,
    seq_len: int,
) -> tuple[dict[str, np.ndarray], ...]:
    if not sequences:
        return ()
    extras = {"advantages": advantages, "sampler_logprobs": logprobs}
    needed = len(pack(sequences, seq_len).arrays["tokens"])
    padded = -(-needed // rows) * rows
    arrays = pack(sequences, seq_len, num_rows=padded, extras=extras).arrays
    return tuple(
        {name: values[start : start + rows] for name, values in arrays.items()}
        for start in range(0, padded, rows)
    )
