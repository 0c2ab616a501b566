"""What goes into a chunk of decode steps, a row a slot, and what comes out."""

from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """What the host knows of every slot; arrays [B], keys [B, 2]."""

    lengths: Any  # int32, positions in the cache
    tokens: Any  # int32, the token to feed next, at position `lengths`
    remaining: Any  # int32, tokens still wanted; 0 for a slot without a request
    keys: Any  # uint32
    temperature: Any  # float32
    top_p: Any  # float32
    top_k: Any  # int32


class Chunk(NamedTuple):
    """What one chunk of decode steps produced, arrays [steps, B]."""

    tokens: Any
    logprobs: Any
    log_kept: Any
    valid: Any  # bool: the row was still running at this step


def idle_rows(num_rows: int) -> Rows:
    """Host rows without a request: numpy arrays, written in place."""
    return Rows(
        lengths=np.zeros(num_rows, np.int32),
        tokens=np.zeros(num_rows, np.int32),
        remaining=np.zeros(num_rows, np.int32),
        keys=np.zeros((num_rows, 2), np.uint32),
        temperature=np.ones(num_rows, np.float32),
        top_p=np.ones(num_rows, np.float32),
        top_k=np.zeros(num_rows, np.int32),
    )
