"""A pool of jailed workers: submit a run, get a future; nothing is lost or doubled."""

import collections
import dataclasses
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Self

from simex.core.errors import InfraError, UserError
from simex.sandbox.backends import choose_backend
from simex.sandbox.in_order import in_order
from simex.sandbox.interpreter import find_interpreter
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus
from simex.sandbox.worker import Worker

MAX_ATTEMPTS = 3
_RUNS_PER_WORKER = 1000  # then a fresh one, whatever the old one may have gathered
_IN_FLIGHT_PER_WORKER = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolCounters:
    """What a pool has done since it was made."""

    num_runs: int  # that ended in an outcome
    num_retries: int
    num_infra_errors: int  # runs given up after all attempts
    num_recycled_workers: int
    statuses: dict[RunStatus, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    request: RunRequest
    future: Future[RunOutcome]


def count_usable_cores() -> int:
    """Cores that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SandboxPool:
    """Runs programs on `num_workers` jailed workers (None: one for each usable core).

    `backend` is "auto" or a name in `sandbox.backends.BACKENDS`; `switched_off` names
    layers of the jail to leave out and exists for tests. Raises UserError where no
    jail works. To be used as a context manager; leaving it ends every process.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        backend: str = "auto",
        *,
        allow_unsafe: bool = False,
        switched_off: frozenset[str] = frozenset(),
    ):
        if num_workers is not None and num_workers < 1:
            raise UserError(f"num_workers must be at least 1; got {num_workers}.")
        self._backend = choose_backend(backend, allow_unsafe=allow_unsafe)
        self._switched_off = switched_off
        self.backend_name = self._backend.name
        self.interpreter_version = find_interpreter().version
        self.num_workers = num_workers or count_usable_cores()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._workers: dict[int, Worker] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._statuses: collections.Counter[RunStatus] = collections.Counter()
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), daemon=True)
            for slot in range(self.num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: RunRequest) -> Future[RunOutcome]:
        """Queue one run. `result()` raises InfraError after MAX_ATTEMPTS failures."""
        future: Future[RunOutcome] = Future()
        with self._lock:
            if self._is_closed:
                raise UserError("This sandbox pool is closed; make a new one.")
            self._jobs.put(_Job(request=request, future=future))
        return future

    def run_all(
        self, requests: Iterable[RunRequest]
    ) -> Iterator[RunOutcome | InfraError]:
        """An outcome or an InfraError for each request, in order.

        Takes only so many requests ahead, so that `requests` may be infinite.
        """
        in_flight = self.num_workers * _IN_FLIGHT_PER_WORKER
        return in_order(self.submit, requests, max_in_flight=in_flight)

    @property
    def counters(self) -> PoolCounters:
        with self._lock:
            return PoolCounters(
                num_runs=self._counts["runs"],
                num_retries=self._counts["retries"],
                num_infra_errors=self._counts["infra_errors"],
                num_recycled_workers=self._counts["recycled_workers"],
                statuses=dict(self._statuses),
            )

    def worker_pids(self) -> list[int]:
        """The outermost process of each worker that is up, for health checks."""
        with self._lock:
            workers = list(self._workers.values())
        return [pid for pid in (getattr(w, "pid", None) for w in workers) if pid]

    def close(self) -> None:
        """End every worker. Runs that are queued or under way get an InfraError."""
        with self._lock:
            self._is_closed = True
            for worker in self._workers.values():
                worker.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _serve(self, slot: int) -> None:
        """One thread a worker. It starts the jail, so the jail ends with it."""
        num_runs = 0
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            if num_runs >= _RUNS_PER_WORKER:
                self._drop_worker(slot)
                num_runs = 0
            num_runs += 1
            try:
                outcome = self._run_with_retries(slot, job.request)
            except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
                self._count("infra_errors")
                job.future.set_exception(error)
            else:
                with self._lock:
                    self._counts["runs"] += 1
                    self._statuses[outcome.status] += 1
                job.future.set_result(outcome)
        self._drop_worker(slot)

    def _run_with_retries(self, slot: int, request: RunRequest) -> RunOutcome:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if self._is_closed:
                raise InfraError("The sandbox pool was closed.")
            try:
                return self._worker(slot).run(request)
            except InfraError as error:
                self._drop_worker(slot)
                if attempt == MAX_ATTEMPTS or self._is_closed:
                    raise InfraError(f"after {attempt} attempts: {error}") from error
                self._count("retries")
        raise AssertionError("unreachable")

    def _worker(self, slot: int) -> Worker:
        if slot not in self._workers:
            worker = self._backend.start(slot, self._switched_off)
            with self._lock:
                self._workers[slot] = worker
        return self._workers[slot]

    def _drop_worker(self, slot: int) -> None:
        with self._lock:
            worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.close()
            if not self._is_closed:
                self._count("recycled_workers")

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1
