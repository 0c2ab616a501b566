"""All predicates that need no run, in one order, applied to one item."""

import collections
import dataclasses
import sys
from collections.abc import Callable, Iterable

from simex.problems.filters.contamination import ContaminationIndex, NgramLengths
from simex.problems.filters.shape import (
    MaxSizes,
    why_license,
    why_malformed,
    why_many_answers,
    why_program_malformed,
    why_program_too_long,
    why_too_long,
)
from simex.problems.program import Claim, Program, SourceItem


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """What an import takes, and what it leaves out."""

    sizes: MaxSizes = MaxSizes()
    ngrams: NgramLengths = NgramLengths()
    near_duplicate: float = 0.85  # Jaccard similarity that makes a near duplicate
    # Beginnings of licences, of problems and programs alike; () takes every one.
    allowed_licenses: tuple[str, ...] = ()
    # Where many answers are right, what a program prints can still be predicted. Such a
    # program is not compared: if it ends well, its publisher is believed.
    takes_many_answers: bool = False

    def for_evaluation(self) -> "FilterSettings":
        """The same without bounds on what an evaluation set asks and tests, or licences.

        Licences are of what is trained on, and nothing of an evaluation set is.
        """
        no_bound = sys.maxsize
        sizes = dataclasses.replace(
            self.sizes,
            statement_chars=no_bound,
            test_chars=no_bound,
            num_tests=no_bound,
        )
        return dataclasses.replace(self, sizes=sizes, allowed_licenses=())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sifted:
    """The item without the programs and tests that were left out, or why it is not."""

    item: SourceItem | None
    reason: str = ""
    detail: str = ""
    programs_dropped: tuple[tuple[str, str], ...] = ()  # (reason, detail)
    num_tests_cut: int = 0


def sift(
    item: SourceItem, settings: FilterSettings, evaluation: ContaminationIndex | None
) -> Sifted:
    """Applies the predicates until one gives a reason.

    Args:
        item: As the source gave it.
        settings: Bounds and licences.
        evaluation: What must not come back in training data. None for an item that is
            itself for evaluation.
    """
    item, dropped = _sift_programs(item, settings)
    for reason, why in _predicates(item, settings, evaluation):
        detail = why()
        if detail is not None:
            if reason == "malformed" and dropped:
                detail = f"{detail} left: {dropped[0][1]}"
            return Sifted(
                item=None, reason=reason, detail=detail, programs_dropped=dropped
            )
    short = _cut_tests(item, settings.sizes.num_tests)
    tests = len(item.problem.tests) + len(item.problem.call_tests)
    kept = len(short.problem.tests) + len(short.problem.call_tests)
    return Sifted(item=short, programs_dropped=dropped, num_tests_cut=tests - kept)


def _predicates(
    item: SourceItem, settings: FilterSettings, evaluation: ContaminationIndex | None
) -> Iterable[tuple[str, Callable[[], str | None]]]:
    yield "malformed", lambda: why_malformed(item)
    yield "too long", lambda: why_too_long(item, settings.sizes)
    if not settings.takes_many_answers:
        yield "many answers", lambda: why_many_answers(item)
    allowed = settings.allowed_licenses
    yield "licence", lambda: why_license(item.problem.license, allowed)
    if evaluation is not None:
        yield "contaminated", lambda: evaluation.why_contaminated(item)


def _sift_programs(
    item: SourceItem, settings: FilterSettings
) -> tuple[SourceItem, tuple[tuple[str, str], ...]]:
    kept: list[Program] = []
    dropped: list[tuple[str, str]] = []
    counts: collections.Counter[Claim] = collections.Counter()
    seen: set[str] = set()
    for program in item.programs:
        reason = _why_not_program(program, settings, seen)
        if reason is None and counts[program.claim] >= settings.sizes.num_programs:
            reason = ("over the number", "enough programs of this claim")
        if reason is not None:
            dropped.append(reason)
            continue
        seen.add(program.source)
        counts[program.claim] += 1
        kept.append(program)
    return dataclasses.replace(item, programs=tuple(kept)), tuple(dropped)


def _why_not_program(
    program: Program, settings: FilterSettings, seen: set[str]
) -> tuple[str, str] | None:
    if program.source in seen:
        return "duplicate", "the same text as another of the problem"
    found = why_program_too_long(program.source, settings.sizes)
    if found is not None:
        return "too long", found
    found = why_license(program.license, settings.allowed_licenses)
    if found is not None:
        return "licence", found
    found = why_program_malformed(program.source)
    return None if found is None else ("malformed", found)


def _cut_tests(item: SourceItem, num_tests: int) -> SourceItem:
    problem = item.problem
    calls = problem.call_tests[: max(0, num_tests - len(problem.tests))]
    problem = dataclasses.replace(
        problem, tests=problem.tests[:num_tests], call_tests=calls
    )
    return dataclasses.replace(item, problem=problem)
