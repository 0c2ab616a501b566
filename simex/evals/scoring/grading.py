"""Asks the questions of a benchmark about each generation, in the sandbox."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from simex.core.errors import InfraError, UserError
from simex.evals.scoring.evalplus_rule import REFERENCE_FAILED
from simex.evals.scoring.generations import Completion, Generations
from simex.evals.scoring.rules import BenchmarkItem, Question
from simex.sandbox.in_order import in_order
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool
from simex.sandbox.wire import encode_value

_IN_FLIGHT_PER_WORKER = 16
_REFERENCE_FAILED = encode_value(REFERENCE_FAILED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a question: passed, failed, or (None) left out of the count."""

    passed: bool | None
    verdict: str  # a Verdict's word, "right", "wrong" or "left_out"
    has_returned_failed: bool = False  # a call returned REFERENCE_FAILED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grade:
    """Both answers about one generation."""

    item_id: str
    official: Answer
    strict: Answer


def grade_all(
    pool: SandboxPool, items: Sequence[BenchmarkItem], generations: Generations
) -> Iterator[Grade]:
    """One grade a generation, in the order of the items.

    Raises:
        InfraError: a generation could not be run; to leave it out would change the
            score, so there is none.
        UserError: the reference of an item fails, so that nothing could pass.
    """
    answers = _answers(pool, _questions(items, generations))
    for item in items:
        for _ in generations.get(item.id, ()):
            official, strict = next(answers), next(answers)
            if item.has_reference and official.has_returned_failed:
                raise UserError(
                    f"The reference of {item.id} must return on every input of the "
                    "benchmark's file; it raises an error on one. Use the benchmark's "
                    "own file, or leave the item out."
                )
            yield Grade(item_id=item.id, official=official, strict=strict)


def _questions(
    items: Sequence[BenchmarkItem], generations: Generations
) -> Iterator[Question]:
    for item in items:
        for completion in generations.get(item.id, ()):
            yield from _both(item, completion)


def _both(item: BenchmarkItem, completion: Completion) -> tuple[Question, Question]:
    return item.official(completion), item.strict(completion)


def _answers(pool: SandboxPool, questions: Iterable[Question]) -> Iterator[Answer]:
    def submit(question: Question) -> Future[Judgement] | Future[bool | None]:
        if isinstance(question, JudgeItem):
            return pool.submit_judgement(question, early_stop=True)
        known: Future[bool | None] = Future()
        known.set_result(question)
        return known

    results = in_order(
        submit, questions, max_in_flight=_IN_FLIGHT_PER_WORKER * pool.num_workers
    )
    for result in results:
        if isinstance(result, InfraError):
            raise result
        yield _answer(result)


def _answer(result: Judgement | bool | None) -> Answer:
    match result:
        case None:
            return Answer(passed=None, verdict="left_out")
        case bool():
            return Answer(passed=result, verdict="right" if result else "wrong")
        case Judgement():
            bad = [v for v in result.verdicts if not v.is_accepted]
            word = bad[0].value if bad else "accepted"
            failed = any(o and o.result == _REFERENCE_FAILED for o in result.outcomes)
            return Answer(
                passed=result.is_accepted, verdict=word, has_returned_failed=failed
            )
