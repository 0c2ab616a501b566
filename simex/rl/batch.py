"""From chosen rollouts to packed rows with an advantage on every sampled token."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from simex.rl.selection import Chosen
from simex.rollouts.rollout import Group, Turn
from simex.tokens.chat import Rendered
from simex.tokens.packing import pack

MicroBatch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeighedTurn:
    """A turn with what every token that the policy sampled in it is given."""

    turn: Turn
    advantages: np.ndarray  # float32, one for each completion id
    weight: float = 1.0


def make_micro_batches(
    chosen: Sequence[Chosen], *, rows: int, seq_len: int, share_prompts: bool = False
) -> tuple[MicroBatch, ...]:
    """Packs every turn of every chosen rollout, with the advantage of each token.

    Args:
      chosen: of one train step.
      rows: of a micro-batch.
      seq_len: T; a turn that is longer is refused, never cut.
      share_prompts: a prompt is in a row once for all turns there that answer it.

    Returns:
      Micro-batches of one shape. Each is a dict of [rows, T]: tokens, segment_ids,
      positions, loss_mask, advantages, weights, sampler_logprobs, and prefix_ids
      where prompts are shared.
    """
    turns = [
        WeighedTurn(
            turn=turn,
            advantages=advantages.astype(np.float32),
            weight=one.weight,
        )
        for one in chosen
        for turn, advantages in zip(
            one.rollout.turns, one.token_advantages, strict=True
        )
        if turn.is_trained
    ]
    return pack_turns(turns, rows=rows, seq_len=seq_len, share_prompts=share_prompts)


def make_probe(
    groups: Sequence[Group], *, rows: int, seq_len: int, share_prompts: bool = False
) -> tuple[MicroBatch, list[Turn]] | None:
    """One micro-batch of sampled turns, flat groups among them, and those turns.

    The invariants are measured on it even where no group carries a signal; no weight
    changes. Advantages alternate between 1 and -1, so that both bounds of the ratio
    would be seen. None when nothing was sampled.
    """
    turns = [t for g in groups for r in g.rollouts for t in r.turns if t.is_trained]
    if not turns:
        return None
    turns = turns[:rows]  # a turn never needs more than a row
    weighed = [
        WeighedTurn(
            turn=turn,
            advantages=np.resize(
                np.array([1, -1], np.float32), len(turn.completion_ids)
            ),
        )
        for turn in turns
    ]
    packed = pack_turns(
        weighed, rows=rows, seq_len=seq_len, share_prompts=share_prompts
    )
    return packed[0], turns


def pack_turns(
    turns: Sequence[WeighedTurn],
    *,
    rows: int,
    seq_len: int,
    share_prompts: bool = False,
) -> tuple[MicroBatch, ...]:
    """Rows of T tokens, `rows` at a time; the last micro-batch is filled with padding.

    The ids are those that went into the sampler and came out of it, never re-made.
    """
    if not turns:
        return ()
    sequences = [
        Rendered.from_ids(one.turn.prompt_ids, one.turn.completion_ids, id=f"turn {i}")
        for i, one in enumerate(turns)
    ]
    extras = {
        "advantages": [_align(one.turn, one.advantages) for one in turns],
        "sampler_logprobs": [_align(o.turn, o.turn.sampler_logprobs) for o in turns],
        "weights": [
            _align(one.turn, np.full_like(one.advantages, one.weight)) for one in turns
        ],
    }
    # The last id of a prompt stays with its answer, whose first id it is to predict.
    num_shared = [max(len(one.turn.prompt_ids) - 1, 0) for one in turns]
    arrays = pack(
        sequences,
        seq_len,
        extras=extras,
        num_shared=num_shared if share_prompts else None,
    ).arrays
    padded = -(-len(arrays["tokens"]) // rows) * rows
    return tuple(
        {name: _rows(values, start, start + rows) for name, values in arrays.items()}
        for start in range(0, padded, rows)
    )


def _rows(values_BT: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Rows start..stop; those that are not there are padding."""
    missing = max(stop - len(values_BT), 0)
    return np.pad(values_BT[start:stop], ((0, missing), (0, 0)))


def _align(turn: Turn, values: np.ndarray) -> np.ndarray:
    """0 at the prompt, then one value for each sampled id."""
    return np.concatenate([np.zeros(len(turn.prompt_ids), np.float32), values])
