"""The workers of one driver: queue a run, get a future; nothing is lost or doubled."""

import dataclasses
import heapq
import itertools
import threading
import time
from concurrent.futures import Future

from simex.core.errors import InfraError
from simex.sandbox.backends import Backend
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.tally import Tally
from simex.sandbox.worker import Worker

MAX_ATTEMPTS = 3
_RUNS_PER_WORKER = 1000  # then a fresh one, whatever the old one may have gathered


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    request: RunRequest
    future: Future[RunOutcome]
    queued_at: float  # time.monotonic()


class Crew:
    """Runs programs on `num_workers` workers of one backend, one thread for each.

    `switched_off` names layers of the jail to leave out and exists for tests.
    """

    def __init__(
        self,
        num_workers: int,
        backend: Backend,
        *,
        tally: Tally,
        switched_off: frozenset[str] = frozenset(),
    ):
        self._backend, self._switched_off = backend, switched_off
        self._tally = tally
        self._condition = threading.Condition()
        self._jobs: list[tuple[tuple[int, int], int, _Job]] = []  # a heap
        self._arrivals = itertools.count()
        self._is_closed = False
        self._workers: dict[int, Worker] = {}
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), daemon=True)
            for slot in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, request: RunRequest, place: tuple[int, int] = (0, 0)
    ) -> Future[RunOutcome]:
        """Queue one run. `result()` raises InfraError after MAX_ATTEMPTS failures.

        Among those that wait, the lowest `place` (program, test) goes first.
        """
        job = _Job(request=request, future=Future(), queued_at=time.monotonic())
        with self._condition:
            heapq.heappush(self._jobs, (place, next(self._arrivals), job))
            self._condition.notify()
        return job.future

    def worker_pids(self) -> list[int]:
        """The outermost process of each worker that is up, for health checks."""
        with self._condition:
            workers = list(self._workers.values())
        return [pid for pid in (getattr(w, "pid", None) for w in workers) if pid]

    def close(self) -> None:
        """End every worker. Runs that are queued or under way get an InfraError."""
        with self._condition:
            self._is_closed = True
            for worker in self._workers.values():
                worker.kill()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self, slot: int) -> None:
        """One thread a worker. It starts the jail, so the jail ends with it."""
        num_runs = 0
        while (job := self._next_job()) is not None:
            if num_runs >= _RUNS_PER_WORKER:
                self._drop_worker(slot)
                num_runs = 0
            if not job.future.set_running_or_notify_cancel():
                continue
            num_runs += 1
            started_at = time.monotonic()
            try:
                outcome = self._run_with_retries(slot, job.request)
            except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
                self._tally.add("infra_errors")
                job.future.set_exception(error)
                continue
            self._tally.add("queue_secs", started_at - job.queued_at)
            self._tally.add("run_secs", time.monotonic() - started_at)
            self._tally.add("program_cpu_secs", outcome.cpu_secs)
            self._tally.add(f"status/{outcome.status.value}")
            job.future.set_result(outcome)
        self._drop_worker(slot)

    def _next_job(self) -> _Job | None:
        with self._condition:
            while not self._jobs and not self._is_closed:
                self._condition.wait()
            return heapq.heappop(self._jobs)[2] if self._jobs else None

    def _run_with_retries(self, slot: int, request: RunRequest) -> RunOutcome:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if self._is_closed:
                raise InfraError("The sandbox pool was closed.")
            try:
                worker = self._worker(slot)
                outcome = worker.run(request)
            except InfraError as error:
                self._drop_worker(slot)
                if attempt == MAX_ATTEMPTS or self._is_closed:
                    raise InfraError(f"after {attempt} attempts: {error}") from error
                self._tally.add("retries")
                continue
            if worker.is_worn:
                self._drop_worker(slot)
            return outcome
        raise AssertionError("unreachable")

    def _worker(self, slot: int) -> Worker:
        if slot not in self._workers:
            worker = self._backend.start(slot, self._switched_off)
            with self._condition:
                self._workers[slot] = worker
                is_too_late = self._is_closed
            if is_too_late:
                raise InfraError("The sandbox pool was closed.")
        return self._workers[slot]

    def _drop_worker(self, slot: int) -> None:
        with self._condition:
            worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.close()
            if not self._is_closed:
                self._tally.add("recycled_workers")
