"""Host bookkeeping: which prompts wait, how they are packed, which requests are ready.

A prompt is prefilled once for all its requests. Prompts are packed into rows of fixed
width, so prefill has few shapes; requests whose prompt lies in a prefilled block wait
as `Ready` until a slot of the same device is free.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from simex.sampling.programs import COPY_SPAN


@dataclasses.dataclass(kw_only=True)
class PromptGroup:
    """A prompt and the indices of the requests that share it."""

    prompt_ids: tuple[int, ...]
    indices: list[int]


@dataclasses.dataclass(kw_only=True)
class Ready:
    """A request whose prompt is prefilled at block[row, start:]."""

    index: int
    prompt_ids: tuple[int, ...]
    block: "Block"
    row: int  # within the device's part of the block
    start: int

    def copies(self, slot: int) -> list[tuple[int, int, int, int]]:
        """Spans (row, start, slot, slot start) that bring the prompt into a slot.

        The last prompt token is not copied: the first decode step feeds it.
        """
        return [
            (self.row, self.start + offset, slot, offset)
            for offset in range(0, len(self.prompt_ids) - 1, COPY_SPAN)
        ]


@dataclasses.dataclass(kw_only=True)
class Block:
    """Prefilled prompts of all devices; freed when `num_waiting` falls to 0."""

    cache: Any = None
    num_waiting: int = 0


@dataclasses.dataclass(kw_only=True)
class PackedPrompts:
    """Input of one prefill: int32 arrays [devices * rows, width]."""

    tokens: np.ndarray
    segment_ids: np.ndarray
    positions: np.ndarray


def group_requests(
    prompts: Sequence[Sequence[int]], *, max_group: int
) -> collections.deque[PromptGroup]:
    """Requests by prompt, in order of first appearance, at most `max_group` together.

    The limit lets all devices work when one prompt has more than a device's share.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(tuple(map(int, prompt)), []).append(index)
    return collections.deque(
        PromptGroup(prompt_ids=prompt, indices=indices[i : i + max_group])
        for prompt, indices in groups.items()
        for i in range(0, len(indices), max_group)
    )


def pack_prompts(
    queue: collections.deque[PromptGroup],
    ready: list[collections.deque[Ready]],
    *,
    num_rows: int,
    width: int,
) -> tuple[PackedPrompts, Block]:
    """Moves groups from the queue into one block, to the least busy device first.

    Args:
        queue: is consumed from the left until the next group fits nowhere.
        ready: one queue a device; the requests of packed groups are appended.
        num_rows: of the block, on each device.
        width: positions of a row.
    """
    num_devices = len(ready)
    shape = (num_devices, num_rows, width)
    tokens, segments, positions = (np.zeros(shape, np.int32) for _ in range(3))
    used = np.zeros((num_devices, num_rows), np.int32)
    block = Block()
    while queue:
        size = len(queue[0].prompt_ids)
        order = sorted(range(num_devices), key=lambda device: len(ready[device]))
        place = next(
            (
                (device, row)
                for device in order
                for row in range(num_rows)
                if used[device, row] + size <= width
            ),
            None,
        )
        if place is None:
            break
        group, (device, row) = queue.popleft(), place
        start = int(used[place])
        inside = (*place, slice(start, start + size))
        tokens[inside] = group.prompt_ids
        segments[inside] = segments[device, row].max() + 1
        positions[inside] = np.arange(size)
        used[place] += size
        block.num_waiting += len(group.indices)
        ready[device].extend(
            Ready(
                index=index,
                prompt_ids=group.prompt_ids,
                block=block,
                row=row,
                start=start,
            )
            for index in group.indices
        )
    flat = (num_devices * num_rows, width)
    return (
        PackedPrompts(
            tokens=tokens.reshape(flat),
            segment_ids=segments.reshape(flat),
            positions=positions.reshape(flat),
        ),
        block,
    )
