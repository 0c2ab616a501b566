"""Who makes the shards of a dataset: processes of this machine, or a Ray cluster.

A shard is a pure function of the plan and its number, written whole or not at all: one
that is made again, after a kill or a lost machine, has the same bytes. Reference: Moritz
et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

import concurrent.futures
import dataclasses
import importlib.util
import multiprocessing
import multiprocessing.synchronize
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from simex.core.errors import InfraError, UserError
from simex.core.system import num_usable_cores
from simex.data.explained import ShardPlan, make_shard, report_path
from simex.sandbox.backends.ray_cluster import connect
from simex.sandbox.driverless import DriverlessPool

_SECS_BETWEEN_LOOKS = 0.5
_MAX_RETRIES = 5  # of a task whose machine is lost; any error of ours ends the job

Shard = tuple[str, int]  # split and number
Maker = Callable[[ShardPlan, Sequence[Shard], int | None], Iterator[Shard]]


def make_in_processes(
    plan: ShardPlan, wanted: Sequence[Shard], num_processes: int | None
) -> Iterator[Shard]:
    """Makes the shards in processes of this machine; yields each when it is whole."""
    most = num_processes or num_usable_cores()
    # Forking a process that has threads, as jax has, may hang its child.
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    with concurrent.futures.ProcessPoolExecutor(
        min(most, len(wanted)) or 1,
        mp_context=context,
        initializer=_end_with,
        initargs=(os.getpid(), is_over),
    ) as executor:
        futures = [executor.submit(_work, plan, shard) for shard in wanted]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            # Nobody waits for half a shard: the next attempt makes it again.
            is_over.set()


def make_on_ray(
    plan: ShardPlan, wanted: Sequence[Shard], num_tasks: int | None
) -> Iterator[Shard]:
    """Makes the shards as tasks of a Ray cluster; yields each when it is whole.

    The cluster is the one that `RAY_ADDRESS` names, or one on this machine. Its
    machines must see the folder of the dataset under the same path.

    Raises:
      UserError: there is no cluster, or a machine writes to another disk.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError("ray must be installed (the extra `cluster`); it is not.")
    try:
        ray = connect()
    except InfraError as error:
        raise UserError(str(error)) from None
    # A plan names the folder as this process sees it.
    plan = dataclasses.replace(plan, out=os.path.abspath(plan.out))
    task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(_work)
    most = num_tasks or max(1, int(ray.cluster_resources().get("CPU", 1)))
    rest = list(reversed(wanted))
    running: list[Any] = []  # references to tasks
    # A few more than can run: a machine never waits for us.
    while rest or running:
        while rest and len(running) < 2 * most:
            running.append(task.remote(plan, rest.pop()))
        done, running = ray.wait(running, num_returns=1)
        for shard in ray.get(done):
            if not report_path(plan.out, *shard).exists():
                raise UserError(
                    f"The machines of a Ray cluster must share {plan.out}; one wrote "
                    f"shard {shard} where it is not seen here. Use a shared folder."
                )
            yield shard


MAKERS: Mapping[str, Maker] = {"processes": make_in_processes, "ray": make_on_ray}

# As the annotation of a setting: the names of the table, and refused before the run.
if TYPE_CHECKING:
    MakerName = str
else:
    MakerName = Literal[tuple(MAKERS)]

# Jails of a process, for all the shards that it makes: while it tells the run of one, the
# other runs the next program.
_JAILS = 2
_pools: dict[tuple[str, bool], DriverlessPool] = {}


def _work(plan: ShardPlan, shard: Shard) -> Shard:
    key = plan.backend, plan.allow_unsafe
    if key not in _pools:
        _pools[key] = DriverlessPool(
            _JAILS, plan.backend, allow_unsafe=plan.allow_unsafe
        )
    make_shard(plan, *shard, _pools[key])
    return shard


def _end_with(parent: int, is_over: multiprocessing.synchronize.Event) -> None:
    """Sees to it that this process does not outlive the job."""
    # Ctrl-C reaches every process; what it means is decided by the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent and not is_over.wait(_SECS_BETWEEN_LOOKS):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
