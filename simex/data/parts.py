"""Batches made of equal parts, each a stream of its own.

What a batch holds depends on the number of parts, never on who reads them: one process
reads all, two read half of them each. With one part every process reads all of it, which
costs each the work of packing and is the same data for any number of processes.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simex.core.errors import UserError

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The parts of every batch that a process reads."""

    first: int = 0
    num_read: int = 1
    num_parts: int = 1

    @property
    def is_whole(self) -> bool:
        return self.num_read == self.num_parts


def share_of(num_parts: int, *, process: int, num_processes: int) -> Share:
    """What process number `process` reads.

    Raises UserError when parts are neither one nor so many for each process.
    """
    if num_parts == 1:
        return Share()
    if num_parts < 1 or num_parts % num_processes:
        raise UserError(
            f"data_parts must be 1 or a multiple of the {num_processes} processes, but "
            f"it is {num_parts}."
        )
    num_read = num_parts // num_processes
    return Share(first=process * num_read, num_read=num_read, num_parts=num_parts)


class BatchParts(Iterator[Batch]):
    """The parts of this process, put together; a position is a list of positions."""

    def __init__(self, parts: Sequence[Any], share: Share) -> None:
        """`parts` are grain iterators, as many as `share.num_read`."""
        self._parts, self.share = list(parts), share

    def __next__(self) -> Batch:
        """The rows of this process, in the order of its parts."""
        batches: list[Mapping[str, np.ndarray]] = [next(part) for part in self._parts]
        if len(batches) == 1:
            return dict(batches[0])
        return {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}

    def close(self) -> None:
        """Ends the threads that read ahead."""
        for part in self._parts:
            part.close()

    def get_state(self) -> list[Any]:
        """The position of each part that this process reads."""
        return [part.get_state() for part in self._parts]

    def set_state(self, states: Sequence[Any]) -> None:
        """Goes to a position; `states` are those of all parts of a batch.

        Raises UserError for another number of parts.
        """
        share = self.share
        if len(states) != share.num_parts:
            raise UserError(
                f"The checkpoint was written with data_parts={len(states)}, but it is "
                f"{share.num_parts} now. Set it back, or start in a new workdir."
            )
        own = states[share.first : share.first + share.num_read]
        for part, state in zip(self._parts, own, strict=True):
            part.set_state(state)
