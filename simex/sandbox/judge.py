"""The judge: runs programs and says which tests they pass. The only source of truth.

Expected outputs and checkers go to the driver process and no further. What goes into
the box is a program and one stdin, or one call.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from simex.core.errors import InfraError
from simex.problems.problem import Limits
from simex.sandbox.checkers import Checker
from simex.sandbox.examine import Test, judge_run
from simex.sandbox.in_order import in_order
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool

__all__ = ["Judge", "JudgeItem", "judge", "judge_all", "judge_run"]

_PROGRAMS_PER_WORKER = 8


class Judge:
    """Judges programs on one pool, which remembers the runs that it has made.

    `early_stop` ends a judgement at the first test that is not accepted; the tests
    after it are stored as NOT_RUN.
    """

    def __init__(self, pool: SandboxPool, *, early_stop: bool = False):
        self._pool = pool
        self._early_stop = early_stop

    def submit(
        self, item: JudgeItem | tuple[Sequence[Test], str, str]
    ) -> Future[Judgement]:
        """Begin one judgement; see `SandboxPool.submit_judgement`."""
        return self._pool.submit_judgement(
            JudgeItem(*item), early_stop=self._early_stop
        )

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
        item = JudgeItem(tests, checker, source, limits, float_tol)
        return self.submit(item).result()

    def judge_all(
        self, items: Iterable[JudgeItem | tuple[Sequence[Test], str, str]]
    ) -> Iterator[Judgement | InfraError]:
        """A judgement or an InfraError for each item, in order, some at a time."""
        max_in_flight = _PROGRAMS_PER_WORKER * self._pool.num_workers
        yield from in_order(self.submit, items, max_in_flight=max_in_flight)


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
