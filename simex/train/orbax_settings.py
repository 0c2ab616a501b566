"""How orbax is set up: memory, processes, when it saves, what it says."""

import logging
import math
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from simex.sharding.processes import num_processes
from simex.train.best import rank_value

_BYTES_ON_THEIR_WAY = 64 * 2**20


def little_memory(arrays: Any) -> ocp.Context:
    """A `with` in which saving `arrays` needs few bytes beside them.

    A device's part of an array is on its way as a whole, and orbax refuses one that
    does not stay below the limit. Nothing is compressed: compressed parts would wait in
    memory until they are written, all of them (a third of a model in bfloat16).
    """
    parts = (a.dtype.itemsize * _shard_size(a) for a in jax.tree.leaves(arrays))
    limit = max(_BYTES_ON_THEIR_WAY, 1 + max(parts, default=0))
    context = ocp.Context()
    context.memory.write_concurrent_bytes = limit
    context.memory.transfer_concurrent_bytes = limit
    context.memory.deepcopy_host_arrays = False  # nobody changes them meanwhile
    context.array.saving.use_compression = False
    return context


def _shard_size(array: jax.Array) -> int:
    return math.prod(array.sharding.shard_shape(array.shape))


def process_context() -> ocp.Context | None:
    """In several processes all call orbax together, unless one works alone."""
    if num_processes() == jax.process_count():
        return None
    context, own = ocp.Context(), jax.process_index()
    context.multiprocessing.primary_host = own
    context.multiprocessing.active_processes = {own}
    context.multiprocessing.barrier_sync_key_prefix = f"alone_{own}"
    return context


def keep_last_and_best(keep_last: int, best_metric: str | None, keep_best: int) -> Any:
    """Which steps survive; orbax deletes others once a newer one is complete."""
    rules = ocp.training.preservation_policies
    policies: list[Any] = [rules.LatestN(max(1, keep_last))]
    if best_metric:
        name: str = best_metric

        def rank(metrics: Any) -> float:
            # A step may have been ranked by another metric, before it was changed.
            return rank_value(name, metrics[name]) if name in metrics else -math.inf

        policies.append(
            rules.BestN(
                get_metric_fn=rank, n=keep_best, keep_checkpoints_without_metrics=False
            )
        )
    return rules.AnyPreservationPolicy(policies)


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
