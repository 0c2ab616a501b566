"""Predicates on one item alone: is it whole, short enough, and can it be judged?"""

import ast
import dataclasses
import warnings
from collections.abc import Collection

from simex.core.errors import UserError
from simex.problems.program import SourceItem


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxSizes:
    """What is longer is too long. All in characters, but the numbers."""

    statement_chars: int = 20_000
    program_chars: int = 20_000
    test_chars: int = 100_000  # stdin and stdout of one test
    num_tests: int = 64  # tests after these are left out; the item is kept
    num_programs: int = 16  # of each claim; the same

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if value < 1:
                raise UserError(
                    f"MaxSizes.{name} must be at least 1; got {value}. Set it higher, "
                    "or leave it out for the default."
                )


def why_malformed(item: SourceItem) -> str | None:
    """No id, no test, or neither a statement nor a program."""
    problem = item.problem
    if not problem.id.strip():
        return "the id is empty"
    if not problem.tests and not problem.call_tests:
        return "there is no test"
    if not problem.statement.strip() and not item.programs:
        return "there is neither a statement nor a program"
    return None


def why_program_malformed(source: str) -> str | None:
    """Empty, or no Python 3 as this interpreter reads it."""
    if not source.strip():
        return "the program is empty"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's texts
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"does not parse: {type(error).__name__}"
    return None


def why_too_long(item: SourceItem, sizes: MaxSizes) -> str | None:
    """The statement or one of the tests is longer than allowed."""
    problem = item.problem
    if len(problem.statement) > sizes.statement_chars:
        return f"the statement has {len(problem.statement)} characters"
    for index, test in enumerate(problem.tests):
        length = len(test.stdin) + len(test.expected_stdout)
        if length > sizes.test_chars:
            return f"test {index} has {length} characters"
    return None


def why_program_too_long(source: str, sizes: MaxSizes) -> str | None:
    """The program is longer than allowed."""
    is_long = len(source) > sizes.program_chars
    return f"the program has {len(source)} characters" if is_long else None


def why_many_answers(item: SourceItem) -> str | None:
    """Comparing with one expected output would call right answers wrong."""
    if item.problem.has_many_answers:
        return "the judge has a program of its own"
    return None


def why_license(license: str, allowed: Collection[str]) -> str | None:
    """None of the allowed licences begins the text; all do where none is named."""
    if not allowed or any(license.lower().startswith(a.lower()) for a in allowed):
        return None
    return f"the licence is {license!r}"
