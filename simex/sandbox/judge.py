"""The judge: runs programs and says which tests they pass. The only source of truth.

Expected outputs and checkers live here, in the driver. What goes into the box is a
program and one stdin, or one call.
"""

import collections
import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from simex.core.errors import InfraError, UserError
from simex.problems.problem import Limits
from simex.sandbox.checkers import Checker
from simex.sandbox.examine import Test, make_examiner, make_request
from simex.sandbox.in_order import in_order
from simex.sandbox.outcome import (
    Judgement,
    RunOutcome,
    RunRequest,
    Verdict,
)
from simex.sandbox.pool import SandboxPool

_PROGRAMS_PER_WORKER = 2
_MAX_REMEMBERED_BYTES = 1 << 16  # of one stdout; longer ones are run again


class JudgeItem(NamedTuple):
    """One program and what it is judged by. A plain tuple does as well."""

    tests: Sequence[Test]
    checker: str | Checker
    source: str
    limits: Limits = Limits()
    float_tol: float | None = None  # the tolerance that the problem declares


class Judge:
    """Judges programs on one pool, remembering runs it has seen.

    `early_stop` ends a judgement at the first test that is not accepted; the tests
    after it are stored as NOT_RUN. `max_remembered` bounds the memory of outcomes.
    """

    def __init__(
        self, pool: SandboxPool, *, early_stop: bool = False, max_remembered: int = 4096
    ):
        self._pool = pool
        self._early_stop = early_stop
        self._memory = _RunMemory(pool, max_remembered)

    def judge(
        self,
        tests: Sequence[Test],
        checker: str | Checker,
        source: str,
        limits: Limits = Limits(),
        float_tol: float | None = None,
    ) -> Judgement:
        """Raises InfraError if any test could not be run, and UserError without tests.

        A program that cannot be judged on every test has no judgement: neither a pass
        nor a fail.
        """
        if not tests:
            raise UserError("A program cannot be judged on no tests at all; give one.")
        examine = make_examiner(tests, checker, float_tol)
        requests = [make_request(test, source, limits) for test in tests]
        verdicts: list[Verdict] = []
        outcomes: list[RunOutcome | None] = []
        for test, future in zip(tests, self._start_runs(requests)):
            outcomes.append(future.result())
            verdicts.append(examine(test, future.result()))
            if self._early_stop and not verdicts[-1].is_accepted:
                break
        num_not_run = len(tests) - len(verdicts)
        verdicts += [Verdict.NOT_RUN] * num_not_run
        outcomes += [None] * num_not_run
        return Judgement(
            verdicts=tuple(verdicts),
            outcomes=tuple(outcomes),
            backend=self._pool.backend_name,
        )

    def judge_all(
        self, items: Iterable[JudgeItem | tuple[Sequence[Test], str, str]]
    ) -> Iterator[Judgement | InfraError]:
        """A judgement or an InfraError for each item, in order, some at a time."""
        num_threads = _PROGRAMS_PER_WORKER * self._pool.num_workers
        threads = ThreadPoolExecutor(num_threads)
        try:
            yield from in_order(
                lambda item: threads.submit(self.judge, *item),
                items,
                max_in_flight=2 * num_threads,
            )
        finally:
            # Not waited for: after Ctrl-C the caller closes the pool, which ends them.
            threads.shutdown(wait=False, cancel_futures=True)

    def _start_runs(self, requests: list[RunRequest]) -> Iterator[Future[RunOutcome]]:
        """With early stop a run starts only when it is asked for."""
        if self._early_stop:
            return map(self._memory.run, requests)
        return iter([self._memory.run(request) for request in requests])


def judge(
    pool: SandboxPool,
    tests: Sequence[Test],
    checker: str | Checker,
    source: str,
    *,
    limits: Limits = Limits(),
    early_stop: bool = False,
) -> Judgement:
    """Judge one program; see `Judge.judge`."""
    return Judge(pool, early_stop=early_stop).judge(tests, checker, source, limits)


def judge_all(
    pool: SandboxPool,
    items: Iterable[JudgeItem | tuple[Sequence[Test], str, str]],
    *,
    early_stop: bool = False,
) -> Iterator[Judgement | InfraError]:
    """Judge many programs, in order; see `Judge.judge_all`.

    Example: ``judge_all(pool, [(problem.tests, problem.checker, source)])``.
    """
    return Judge(pool, early_stop=early_stop).judge_all(items)


class _RunMemory:
    """Runs a request once; the same program on the same stdin ends the same way.

    Whatever ended in an infra error is forgotten, and so are long outputs.
    """

    def __init__(self, pool: SandboxPool, max_entries: int):
        self._pool = pool
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._runs: collections.OrderedDict[bytes, Future[RunOutcome]] = (
            collections.OrderedDict()
        )

    def run(self, request: RunRequest) -> Future[RunOutcome]:
        key = self._key(request)
        with self._lock:
            known = self._runs.get(key)
            if known is not None and not _is_to_be_forgotten(known):
                self._runs.move_to_end(key)
                return known
            future = self._runs[key] = self._pool.submit(request)
            while len(self._runs) > self._max_entries:
                self._runs.popitem(last=False)
        future.add_done_callback(lambda done: self._forget(key, done))
        return future

    def _forget(self, key: bytes, done: Future[RunOutcome]) -> None:
        if _is_to_be_forgotten(done):
            with self._lock:
                if self._runs.get(key) is done:
                    del self._runs[key]

    def _key(self, request: RunRequest) -> bytes:
        parts = [self._pool.interpreter_version, repr(request.limits)]
        digest = hashlib.sha256()
        text = (*parts, request.source, request.stdin)
        encoded = [part.encode("utf-8", "surrogatepass") for part in text]
        for data in (*encoded, request.call or b""):
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.digest()


def _is_to_be_forgotten(future: Future[RunOutcome]) -> bool:
    if not future.done():
        return False
    if future.cancelled() or future.exception() is not None:
        return True
    outcome = future.result()
    return len(outcome.stdout) + len(outcome.result or b"") > _MAX_REMEMBERED_BYTES
