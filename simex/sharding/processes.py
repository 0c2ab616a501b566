"""Several processes that are one run: how they meet, and what they tell each other.

All processes run the same command on the same files. Each has its own devices; a mesh
goes over those of all. The first one writes what is written once, and runs alone the
stages that need no mesh.
"""

import contextlib
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from simex.core.errors import UserError

# host:port of the first process, or "auto": as the TPU pod, Slurm or GKE says.
COORDINATOR = "SIMEX_COORDINATOR"
NUM_PROCESSES = "SIMEX_NUM_PROCESSES"
PROCESS_ID = "SIMEX_PROCESS_ID"

Item = TypeVar("Item")

_WAIT_MS = 7 * 24 * 3600 * 1000  # a stage of another process may last for days

# Of the whole process: threads of a stage that runs alone are alone too.
_is_alone = False


def join_processes(environ: Mapping[str, str] = os.environ) -> None:
    """Meets the other processes of the run, where the environment names a coordinator.

    Must be called before jax touches a device. Raises UserError for a coordinator
    without the number of processes and of this one.
    """
    address = environ.get(COORDINATOR)
    if not address:
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if address == "auto":
        jax.distributed.initialize()
        return
    try:
        count, number = int(environ[NUM_PROCESSES]), int(environ[PROCESS_ID])
    except (KeyError, ValueError):
        raise UserError(
            f"{COORDINATOR} is {address}, so {NUM_PROCESSES} and {PROCESS_ID} must be "
            f"whole numbers; they are {environ.get(NUM_PROCESSES)!r} and "
            f"{environ.get(PROCESS_ID)!r}. Set them, or {COORDINATOR}=auto on a pod."
        ) from None
    jax.distributed.initialize(address, count, number)


def num_processes() -> int:
    """How many processes work together now; 1 in a stage that one runs alone."""
    return 1 if _is_alone else jax.process_count()


def process_number() -> int:
    """Of this process, from 0."""
    return 0 if _is_alone else jax.process_index()


def is_first() -> bool:
    """Whether this process writes what is written once."""
    return process_number() == 0


def usable_devices() -> list[jax.Device]:
    """Devices of all processes, or of this one while it works alone."""
    return jax.local_devices() if _is_alone else jax.devices()


@contextlib.contextmanager
def working_alone() -> Iterator[None]:
    """While this lasts, this process neither waits for others nor uses their devices."""
    global _is_alone
    before, _is_alone = _is_alone, True
    try:
        yield
    finally:
        _is_alone = before


def wait_for_all(what: str) -> None:
    """Returns when every process has come here; `what` names the place."""
    if num_processes() == 1:
        return
    from jax._src import (
        distributed,
    )  # jax's own barrier goes over devices and times out

    client: Any = distributed.global_state.client
    client.wait_at_barrier(what, _WAIT_MS)


def gather(value: Any) -> list[Any]:
    """What each process gave, by its number; every process gets the list."""
    if num_processes() == 1:
        return [value]
    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.array([data.size], np.int32))
    sizes = np.asarray(sizes).reshape(-1)
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: data.size] = data
    rows = np.asarray(multihost_utils.process_allgather(padded))
    rows = rows.reshape(len(sizes), -1)
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes)]


def spread(items: Sequence[Item], work: Callable[[Sequence[Item]], list[Any]]) -> list:
    """work(items), each process doing a part of it; every process gets all results.

    All processes must come here with the same items; `work` gives one result an item.
    """
    return [r for own in gather(work(own_share(items))) for r in own]


def own_share(items: Sequence[Item]) -> Sequence[Item]:
    """The part of `items` that is this process's to do; in order of the processes."""
    size = -(-len(items) // num_processes())
    first = process_number() * size
    return items[first : first + size]


def must_stop_after(step: int) -> bool:
    """Whether a process was told to end (SIGTERM), and all are to stop after `step`.

    jax makes the processes agree on the step. A process alone is interrupted instead.
    """
    if num_processes() == 1:
        return False
    return bool(multihost_utils.reached_preemption_sync_point(step))


class Processes:
    """The processes of a run as `core.stages` sees them."""

    @property
    def is_first(self) -> bool:
        """Whether this one keeps the stamps and runs what one runs alone."""
        return is_first()

    def wait(self, what: str) -> None:
        """As `wait_for_all`."""
        wait_for_all(what)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """As `working_alone`, where there are others."""
        return working_alone() if num_processes() > 1 else contextlib.nullcontext()
