"""Judging inside the driver: which runs to make, and what their outcomes are worth.

Everything here is touched by one thread, the driver's judge; only futures come from
others.
"""

import collections
import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from simex.problems.problem import Limits, Problem, Visibility
from simex.sandbox.checkers import Checker
from simex.sandbox.examine import (
    MAX_SHOWN_BYTES,
    Test,
    make_examiner,
    make_request,
)
from simex.sandbox.outcome import (
    Judgement,
    RunOutcome,
    RunRequest,
    Verdict,
)
from simex.sandbox.tally import Tally

_MAX_REMEMBERED_BYTES = 1 << 16  # of one stdout; longer ones are run again


class JudgeItem(NamedTuple):
    """One program and what it is judged by."""

    tests: Sequence[Test]
    checker: str | Checker
    source: str
    limits: Limits = Limits()
    float_tol: float | None = None  # the tolerance that the problem declares

    @classmethod
    def of(cls, problem: Problem, source: str) -> "JudgeItem":
        """`source` on the tests of `problem`, by the rules that the problem declares.

        Raises ValueError where some of its tests are calls: they would be lost.
        """
        if problem.call_tests:
            raise ValueError(
                f"A program for {problem.id!r} must be judged on its stdin alone; "
                f"{len(problem.call_tests)} of its tests are calls."
            )
        return cls(
            problem.tests, problem.checker, source, problem.limits, problem.float_tol
        )


StartRun = Callable[[RunRequest, tuple[int, int]], Future[RunOutcome]]
Later = Callable[[Callable[[], None]], None]


class Judging:
    """One judgement under way.

    Args:
      item: the program and its tests, at least one. Raises UserError or ValueError
        for what does not fit.
      place: its number among the judgements, so that older ones go first.
      early_stop: start a test only after all before it were accepted.
      start_run: queues a run.
      later: has the judge's thread call something.
      finish: gets the judgement, or the error of a test that could not be run.
    """

    def __init__(
        self,
        item: JudgeItem,
        *,
        place: int,
        early_stop: bool,
        start_run: StartRun,
        later: Later,
        finish: Callable[[Judgement | BaseException], None],
        tally: Tally,
    ):
        self._item, self._place, self._early_stop = item, place, early_stop
        self._start_run, self._later, self._finish = start_run, later, finish
        self._tally = tally
        self._examine = make_examiner(item.tests, item.checker, item.float_tol)
        # Before anything runs: arguments that cannot be written down raise here.
        self._requests = [
            make_request(test, item.source, item.limits) for test in item.tests
        ]
        self._verdicts: list[Verdict | None] = [None] * len(item.tests)
        self._outcomes: list[RunOutcome | None] = [None] * len(item.tests)
        self._num_under_way = 0
        self._is_finished = False

    def start(self) -> None:
        """Queue the first test, or all of them where nothing stops early."""
        num_first = 1 if self._early_stop else len(self._item.tests)
        for index in range(num_first):
            self._start_test(index)

    def _start_test(self, index: int) -> None:
        self._num_under_way += 1
        run = self._start_run(self._requests[index], (self._place, index))
        run.add_done_callback(lambda done: self._later(lambda: self._take(index, done)))

    def _take(self, index: int, done: Future[RunOutcome]) -> None:
        self._num_under_way -= 1
        if self._is_finished:
            return
        error = done.exception()
        if error is not None:
            self._end(error)
            return
        outcome, start = done.result(), time.monotonic()
        try:
            verdict = self._examine(self._item.tests[index], outcome)
        except BaseException as broken:  # noqa: BLE001 (whoever waits gets it)
            self._end(broken)
            return
        self._tally.add("judge_secs", time.monotonic() - start)
        self._tally.add(f"verdict/{verdict.value}")
        self._outcomes[index] = _cut_stdout(self._item.tests[index], outcome)
        self._verdicts[index] = verdict
        is_last = index + 1 == len(self._item.tests)
        if self._early_stop and verdict.is_accepted and not is_last:
            self._start_test(index + 1)
        elif self._num_under_way == 0:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self._is_finished = True
        if error is not None:
            self._finish(error)
            return
        verdicts = tuple(Verdict.NOT_RUN if v is None else v for v in self._verdicts)
        backends = [o.backend for o in self._outcomes if o is not None]
        self._finish(
            Judgement(
                verdicts=verdicts, outcomes=tuple(self._outcomes), backend=backends[0]
            )
        )


def _cut_stdout(test: Test, outcome: RunOutcome) -> RunOutcome:
    """As `Judgement` says: thousands of them stay in the trainer's memory."""
    is_shown_whole = outcome.status.is_ok and test.visibility is Visibility.PUBLIC
    if is_shown_whole or len(outcome.stdout) <= MAX_SHOWN_BYTES:
        return outcome
    return dataclasses.replace(
        outcome,
        stdout=outcome.stdout[:MAX_SHOWN_BYTES],
        num_bytes_left_out=len(outcome.stdout) - MAX_SHOWN_BYTES,
    )


class RunMemory:
    """Runs a request once; the same program on the same stdin ends the same way.

    Whatever ended in an infra error is forgotten, and so are long outputs.
    """

    def __init__(
        self,
        submit: StartRun,
        *,
        max_entries: int,
        interpreter_version: str,
        tally: Tally,
    ):
        self._submit, self._max_entries = submit, max_entries
        self._interpreter_version, self._tally = interpreter_version, tally
        self._lock = threading.Lock()
        self._runs: collections.OrderedDict[bytes, Future[RunOutcome]] = (
            collections.OrderedDict()
        )

    def run(self, request: RunRequest, place: tuple[int, int]) -> Future[RunOutcome]:
        key = self._key(request)
        with self._lock:
            known = self._runs.get(key)
            is_known = known is not None and not _is_to_be_forgotten(known)
            self._tally.add("remembered_runs", float(is_known))
            if known is not None and is_known:
                self._runs.move_to_end(key)
                return known
            future = self._runs[key] = self._submit(request, place)
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
        parts = [self._interpreter_version, repr(request.limits)]
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
