"""The judge: runs programs and says which tests they pass. The only source of truth.

Expected outputs and checkers go to the driver process and no further. What goes into
the box is a program and one stdin, or one call.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from simex.core.errors import InfraError
from simex.problems.problem import Limits
from simex.sandbox.checkers import Checker
from simex.sandbox.examine import Test
from simex.sandbox.in_order import in_order
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool

_PROGRAMS_PER_WORKER = 8


def judge(
    pool: SandboxPool,
    tests: Sequence[Test],
    checker: str | Checker,
    source: str,
    *,
    limits: Limits = Limits(),
    float_tol: float | None = None,
    early_stop: bool = False,
) -> Judgement:
    """Judge one program; with `early_stop` tests after a failed one are NOT_RUN.

    A program that cannot be judged on every test has no judgement: neither a pass nor
    a fail.

    Raises:
      InfraError: a test could not be run.
      UserError: there are no tests, or the checker does not fit.
    """
    item = JudgeItem(tests, checker, source, limits, float_tol)
    return pool.submit_judgement(item, early_stop=early_stop).result()


def judge_all(
    pool: SandboxPool, items: Iterable[JudgeItem], *, early_stop: bool = False
) -> Iterator[Judgement | InfraError]:
    """A judgement or an InfraError for each item, in order, some at a time.

    Example: ``judge_all(pool, [JudgeItem.of(problem, source)])``.
    """

    def submit(item: JudgeItem) -> Future[Judgement]:
        return pool.submit_judgement(item, early_stop=early_stop)

    max_in_flight = _PROGRAMS_PER_WORKER * pool.num_workers
    yield from in_order(submit, items, max_in_flight=max_in_flight)
