"""How orbax is set up: memory, processes, when it saves, what it says."""

import logging
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from simex.sharding.processes import num_processes

_BYTES_ON_THEIR_WAY = 64 * 2**20


def little_memory() -> ocp.Context:
    """A `with` in which saving needs few bytes beside the arrays that are saved."""
    context = ocp.Context()
    context.memory.write_concurrent_bytes = _BYTES_ON_THEIR_WAY
    context.memory.transfer_concurrent_bytes = _BYTES_ON_THEIR_WAY
    context.memory.deepcopy_host_arrays = False  # nobody changes them meanwhile
    return context


def process_context() -> ocp.Context | None:
    """In several processes all call orbax together, unless one works alone."""
    if num_processes() == jax.process_count():
        return None
    context, own = ocp.Context(), jax.process_index()
    context.multiprocessing.primary_host = own
    context.multiprocessing.active_processes = {own}
    context.multiprocessing.barrier_sync_key_prefix = f"alone_{own}"
    return context


class AlwaysSave:
    """Saves whenever asked: when to save is the caller's decision."""

    def should_save(self, *args: Any, **kwargs: Any) -> bool:
        """Yes."""
        del args, kwargs
        return True


def quiet_orbax() -> None:
    """Silences it below errors."""
    # It logs several lines a save at INFO and WARNING that ask nothing of the reader.
    logging.getLogger("absl").setLevel(logging.ERROR)
