"""The sandbox as the trainer sees it: submit work, get a future, go on decoding.

The work is done by a driver process (`sandbox.driver`), which holds the tests, the
checkers and the workers, so that judging goes on while the trainer decodes. If the
driver dies, a new one takes over; nothing is lost, nothing is answered twice.
"""

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol, Self

from simex.core.errors import InfraError, UserError
from simex.sandbox.driver_client import IN_FLIGHT_PER_WORKER, DriverClient
from simex.sandbox.in_order import in_order
from simex.sandbox.judging import JudgeItem
from simex.sandbox.messages import DriverConfig, Health, HealthRequest, JudgeRequest
from simex.sandbox.outcome import Judgement, RunOutcome, RunRequest
from simex.sandbox.tally import Totals, subtract_totals

_MOST_RUNS_OF_A_JUDGEMENT = 8  # as it counts towards what the driver is given
_COUNTS = ("retries", "infra_errors", "recycled_workers", "driver_restarts")


class RunPool(Protocol):
    """Whatever runs programs; `SandboxPool`, or `sandbox.driverless.DriverlessPool`."""

    num_workers: int
    backend_name: str  # of the jail

    def submit(self, request: RunRequest) -> Future[RunOutcome]:
        """Queue one run. `result()` raises InfraError after all attempts failed."""
        ...


class SandboxPool:
    """Runs and judges programs on `num_workers` jailed workers.

    Args:
      num_workers: None for one on each usable core.
      backend: "auto" or a name in `sandbox.backends.BACKENDS`.
      allow_unsafe: accept a machine that has no jail at all.
      max_remembered: outcomes that the judge keeps, not to make the same run twice.
      switched_off: layers of the jail to leave out; for tests of the others.

    Raises:
      UserError: no jail works here.

    To be used as a context manager; leaving it ends every process.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        backend: str = "auto",
        *,
        allow_unsafe: bool = False,
        max_remembered: int = 4096,
        switched_off: frozenset[str] = frozenset(),
    ):
        if num_workers is not None and num_workers < 1:
            raise UserError(f"num_workers must be at least 1; got {num_workers}.")
        self._client = DriverClient(
            DriverConfig(
                socket_fd=-1,
                backend=backend,
                allow_unsafe=allow_unsafe,
                num_workers=num_workers,
                max_remembered=max_remembered,
                switched_off=sorted(switched_off),
            )
        )
        hello = self._client.hello
        self.backend_name = hello.backend
        self.interpreter_version = hello.interpreter_version
        self.num_workers = hello.num_workers
        self._lock = threading.Lock()
        self._taken_totals: Totals = {}
        if hello.warning:
            warnings.warn(hello.warning, RuntimeWarning, stacklevel=2)

    def submit(self, request: RunRequest) -> Future[RunOutcome]:
        """Queue one run. `result()` raises InfraError after all attempts failed.

        Waits while too much is unanswered, so do not call it from a future's callback.
        """
        return self._client.ask(request, size=1)

    def submit_judgement(
        self, item: JudgeItem, *, early_stop: bool = False
    ) -> Future[Judgement]:
        """Queue one program with its tests; like `submit`.

        `result()` raises InfraError if any test could not be run: such a program has
        neither passed nor failed. Raises UserError without tests, or for a checker
        that is neither a name nor a function of some module.
        """
        if not item.tests:
            raise UserError("A program cannot be judged on no tests at all; give one.")
        size = min(len(item.tests), _MOST_RUNS_OF_A_JUDGEMENT)
        request = JudgeRequest(item=item, early_stop=early_stop)
        return self._client.ask(request, size=size)

    def run_all(
        self, requests: Iterable[RunRequest]
    ) -> Iterator[RunOutcome | InfraError]:
        """An outcome or an InfraError for each request, in order.

        Takes only so many requests ahead, so that `requests` may be infinite.
        """
        in_flight = self.num_workers * IN_FLIGHT_PER_WORKER
        return in_order(self.submit, requests, max_in_flight=in_flight)

    def take_metrics(self) -> Totals:
        """(total, weight) by name of what was done since this was called last.

        Means, in seconds: `queue_secs` and `run_secs` of a run, `program_cpu_secs`,
        `judge_secs` of a test, `latency_secs` from submission to answer. Shares:
        `verdict/…`, `status/…`, `remembered_runs`. The rest are counts, of weight 1.
        """
        totals = self._client.totals()
        with self._lock:
            new = subtract_totals(totals, self._taken_totals)
            self._taken_totals = totals
        for kind in ("verdict/", "status/"):
            counts = {n: total for n, (total, _) in new.items() if n.startswith(kind)}
            number = sum(counts.values())
            new |= {name: (total, number) for name, total in counts.items()}
        return new | {name: (new.get(name, (0.0, 0.0))[0], 1.0) for name in _COUNTS}

    def health(self) -> Health:
        """The processes that are at work now."""
        return self._client.ask(HealthRequest(), size=0).result()

    def worker_pids(self) -> Sequence[int]:
        """The outermost process of each worker that is up."""
        return self.health().worker_pids

    def close(self) -> None:
        """End every process. What is unanswered gets an InfraError."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
