"""Run programs in the sandbox and bring their traces home.

What the tracer wrote comes from the program's own process: it is parsed as untrusted
text, and it counts only if the run was clean, complete and printed what the same
program prints when nobody watches.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from simex.core.errors import InfraError
from simex.problems.problem import Limits
from simex.sandbox.in_order import in_order
from simex.sandbox.outcome import RunOutcome, RunRequest, RunStatus
from simex.sandbox.pool import RunPool
from simex.traces.parse import parse_trace
from simex.traces.trace import Trace

_IN_FLIGHT_PER_WORKER = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class TraceFailure:
    """Why there is no trace of a program."""

    reason: str
    status: RunStatus | None  # how the traced run ended; None after an infra error


class _TraceJob:
    """A traced run and, if wanted, the same run untraced."""

    def __init__(self, traced: RunRequest, runs: list[Future[RunOutcome]]):
        self._traced, self._runs = traced, runs

    def result(self) -> Trace | TraceFailure:
        try:
            outcomes = [run.result() for run in self._runs]
        except InfraError as error:
            return TraceFailure(reason=f"infra error: {error}", status=None)
        return _judge_trace(self._traced, outcomes)

    def done(self) -> bool:
        return all(run.done() for run in self._runs)

    def cancel(self) -> bool:
        results = [run.cancel() for run in self._runs]
        return all(results)


def collect_traces(
    pool: RunPool,
    programs: Iterable[tuple[str, str] | tuple[str, str, Limits]],
    *,
    max_events: int = 10_000,
    max_bytes: int = 1 << 20,
    limits: Limits = Limits(),
    verify: bool = True,
) -> Iterator[Trace | TraceFailure]:
    """A trace or a failure for each program, in order.

    A program is (source, stdin), or (source, stdin, limits) where it has its own.

    A longer run than the caps allow gives a trace with `is_truncated`. With `verify`
    each program also runs untraced, and a trace whose stdout differs is refused: that
    catches programs that depend on the clock, on addresses or on being watched. Those
    that print in the order of a set are not caught: all workers of a pool hash by one
    seed. `import_problems` and `harvest_functions` run under two, and drop them.
    """

    def submit(program: tuple[str, str] | tuple[str, str, Limits]) -> _TraceJob:
        source, stdin, *own = program
        allowed = own[0] if own else limits
        traced = RunRequest(
            source=source,
            stdin=stdin,
            limits=allowed,
            is_traced=True,
            max_events=max_events,
            max_trace_bytes=max_bytes,
        )
        runs = [pool.submit(traced)]
        if verify:
            untraced = RunRequest(source=source, stdin=stdin, limits=allowed)
            runs.append(pool.submit(untraced))
        return _TraceJob(traced, runs)

    in_flight = pool.num_workers * _IN_FLIGHT_PER_WORKER
    for result in in_order(submit, programs, max_in_flight=in_flight):
        assert not isinstance(result, InfraError)  # `_TraceJob.result` raises none
        yield result


def _judge_trace(
    request: RunRequest, outcomes: list[RunOutcome]
) -> Trace | TraceFailure:
    traced = outcomes[0]

    def fail(reason: str) -> TraceFailure:
        return TraceFailure(reason=reason, status=traced.status)

    for name, outcome in zip(("traced", "untraced"), outcomes):
        if not outcome.status.is_ok:
            return fail(f"the {name} run ended in {outcome.status.value}")
    if any(outcome.stdout != traced.stdout for outcome in outcomes):
        return fail("the program prints something else when it is not traced")
    try:
        trace = parse_trace(traced.trace or b"", request=request, stdout=traced.stdout)
    except ValueError as error:
        return fail(f"the trace is not usable: {error}")
    if trace.is_lost:
        return fail(
            "tracing_lost: the program switched tracing off, or its recursion left no "
            "room for the tracer"
        )
    return trace
