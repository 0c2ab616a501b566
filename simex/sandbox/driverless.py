"""Workers without a driver between: for a process that has nothing else to do.

A trainer must decode while programs run, so its sandbox lives in another process. A
process that only makes shards of a dataset waits for its programs anyway; there the
way to the driver and back is a quarter of what a run costs.
"""

import warnings
from concurrent.futures import Future
from typing import Self

from simex.sandbox.backends import NO_JAIL_WARNING, Unsafe, choose_backend
from simex.sandbox.crew import Crew
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.tally import Tally


class DriverlessPool:
    """Runs programs on jailed workers, one thread of this process for each.

    Args:
      num_workers: how many.
      backend: "auto" or a name in `sandbox.backends.BACKENDS`.
      allow_unsafe: accept a machine that has no jail at all.

    Raises:
      UserError: no jail works here.
    """

    def __init__(
        self, num_workers: int, backend: str = "auto", *, allow_unsafe: bool = False
    ):
        chosen = choose_backend(backend, allow_unsafe=allow_unsafe)
        if chosen.name == Unsafe.name:
            warnings.warn(NO_JAIL_WARNING, RuntimeWarning, stacklevel=2)
        self.num_workers = num_workers
        self.backend_name = chosen.name
        self._crew = Crew(num_workers, chosen, tally=Tally())

    def submit(self, request: RunRequest) -> Future[RunOutcome]:
        """Queue one run. `result()` raises InfraError after all attempts failed."""
        return self._crew.submit(request)

    def close(self) -> None:
        """End every worker."""
        self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
