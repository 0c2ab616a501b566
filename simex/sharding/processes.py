"""Several processes that are one run: how they meet, and what they tell each other.

All processes run the same command on the same files. Each has its own devices; a mesh
goes over those of all. The first one writes what is written once, and runs alone the
stages that need no mesh.

SIGTERM or Ctrl-C to any of them stops all. In a stage that all do together it is only
noted, and they agree after which train step to stop (`StopVotes`); one that left by
itself would keep the others waiting. Elsewhere it takes effect at once, and the others
are told by `stop_all`. Where the first process fails, those that wait for it fail too:
left waiting, jax would abort them minutes later.
"""

import collections
import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from simex.core.errors import UserError
from simex.core.interrupts import Terminated, is_told_to_stop, signals_at_end

# host:port of the first process, or "auto": as the TPU pod, Slurm or GKE says.
COORDINATOR = "SIMEX_COORDINATOR"
NUM_PROCESSES = "SIMEX_NUM_PROCESSES"
PROCESS_ID = "SIMEX_PROCESS_ID"

Item = TypeVar("Item")

# Keys of jax's store of what processes tell each other.
_HERE, _STOPPED, _FAILED = "simex/here", "simex/stopped", "simex/failed"
_POLL_SECS = 0.5

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
    # Its handler of SIGTERM would take the place of `main`'s.
    jax.config.update("jax_enable_preemption_service", False)
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
    """Returns when every process has come here; `what` names the place, once a run.

    Raises Terminated where another was stopped, and UserError where the first failed; a
    signal to this one takes effect too.
    """
    # jax's barriers time out, and no signal gets through to Python while one waits.
    if num_processes() == 1:
        return
    client = _client()
    client.key_value_set(f"{_HERE}/{what}/{process_number()}", "")
    while len(client.key_value_dir_get(f"{_HERE}/{what}/")) < num_processes():
        if _is_any_stopped():
            raise Terminated
        if client.key_value_dir_get(f"{_FAILED}/"):
            raise UserError(
                "All processes of a run must come to its end; the first one failed. Its "
                "own output says of what; start all of them again when that is mended."
            )
        time.sleep(_POLL_SECS)


def stop_all() -> None:
    """Has the others stop too: this process was told to, and ends."""
    if num_processes() > 1:
        _client().key_value_set(f"{_STOPPED}/{process_number()}", "", True)


def tell_failure() -> None:
    """Has those that wait for this process fail too; for the first one, which they do."""
    if num_processes() > 1:
        _client().key_value_set(f"{_FAILED}/{process_number()}", "", True)


def _is_any_stopped() -> bool:
    return bool(_client().key_value_dir_get(f"{_STOPPED}/"))


def _client() -> Any:
    from jax._src import distributed  # jax has no public name for it

    return distributed.global_state.client


@contextlib.contextmanager
def _stopping_with_others() -> Iterator[None]:
    """While this lasts, SIGTERM comes to this process when another was stopped."""
    has_ended = threading.Event()

    def watch() -> None:
        while not has_ended.wait(_POLL_SECS):
            if _is_any_stopped():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, name="stopping with others", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


def gather(value: Any) -> list[Any]:
    """What each process gave, by its number; every process gets the list."""
    if num_processes() == 1:
        return [value]
    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.array([data.size], np.int32))
    sizes = np.asarray(sizes).reshape(-1)
    # Each size compiles once, so there are few: powers of two.
    padded = np.zeros(1 << (int(sizes.max()) - 1).bit_length(), np.uint8)
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


class StopVotes:
    """Whether a process was told to end, agreed on by all after every train step.

    Example:
        votes = StopVotes(lag=1)
        for step in steps:
            ...
            if votes.must_stop(): raise Terminated  # in all processes at the same step
    """

    def __init__(self, *, lag: int = 0) -> None:
        """The answer is that of `lag` calls ago; with 0, the host waits for devices."""
        self._lag = lag
        self._asked: collections.deque[jax.Array] = collections.deque()

    def must_stop(self) -> bool:
        """Asks all; every process must call this as often. Alone it is False: there
        a signal interrupts by itself.
        """
        if num_processes() == 1:
            return False
        self._asked.append(_count_all(is_told_to_stop()))
        if len(self._asked) <= self._lag:
            return False
        return bool(np.asarray(self._asked.popleft().addressable_data(0)))


def _count_all(told: bool) -> jax.Array:
    """int32 scalar on every device: a sum over the devices of who was told."""
    devices = np.array(jax.devices())
    mesh = jax.sharding.Mesh(devices, ("all",))
    rows, whole = (
        jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*names))
        for names in (["all"], [])
    )
    own = jax.make_array_from_callback(
        devices.shape, rows, lambda _: np.array([told], np.int32)
    )
    return jax.jit(jnp.sum, out_shardings=whole)(own)


class Processes:
    """The processes of a run as `core.stages` sees them."""

    @property
    def is_first(self) -> bool:
        """Whether this one keeps the stamps and runs what one runs alone."""
        return is_first()

    def wait(self, what: str) -> None:
        """As `wait_for_all`."""
        wait_for_all(what)

    def stop_all(self) -> None:
        """As the function of this name."""
        stop_all()

    def tell_failure(self) -> None:
        """As the function of this name."""
        tell_failure()

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Signals wait for a vote or for its end, where there are others."""
        return signals_at_end() if num_processes() > 1 else contextlib.nullcontext()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """As `working_alone`; where there are others, it stops when they do."""
        if num_processes() == 1:
            yield
        else:
            with _stopping_with_others(), working_alone():
                yield
