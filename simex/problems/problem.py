"""What can be asked: a problem, its test cases and the limits of a run."""

import dataclasses
import enum
from typing import Any


class Visibility(enum.Enum):
    """Who may see a test case."""

    PUBLIC = "public"  # shown in the statement, simulated by self-verification
    PRIVATE = "private"  # decides whether a program is right, never shown
    GENERATED = "generated"  # like private, but made by us rather than by the source


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestCase:
    """One stdin and the stdout that a right program prints for it."""

    __test__ = False  # the name is the field's; pytest must not collect it

    stdin: str
    expected_stdout: str
    visibility: Visibility


@dataclasses.dataclass(frozen=True, kw_only=True)
class CallCase:
    """One call of a function of the program, and the value that a right one returns.

    Arguments and result are built of None, bool, int, float, complex, str, bytes, list,
    tuple, set, frozenset and dict. Example: ``CallCase(function="add", arguments=(1,
    2), expected_result=3, visibility=Visibility.PRIVATE)``.
    """

    function: str  # a method of the program's `Solution`, or at its top level
    arguments: tuple[Any, ...]
    expected_result: Any
    visibility: Visibility


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run of a program may use."""

    cpu_secs: float = 2.0
    memory_mib: int = 1024
    output_mib: float = 8.0  # of stdout, and as much of stderr and of a call's result

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"Limits.{name} must be above 0; got {value}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A task for a programmer, with the tests that decide it.

    Example: ``Problem(id="sum/0", statement="Print the sum.", tests=(TestCase(
    stdin="1 2", expected_stdout="3", visibility=Visibility.PUBLIC),),
    checker="lines", source="curriculum", composition="sum")``.
    """

    id: str
    statement: str
    tests: tuple[TestCase, ...]
    checker: str  # a name in sandbox.checkers.CHECKERS
    source: str  # a name in problems.sources.table.SOURCES
    composition: str  # problems of one composition never sit on both sides of a split
    split: str = "train"  # train | validation | test
    limits: Limits = Limits()
    license: str = "Apache-2.0"
    call_tests: tuple[CallCase, ...] = ()  # beside or instead of `tests`
    float_tol: float | None = None  # |x - y| <= tol * max(1, |y|), where declared
    has_many_answers: bool = False  # comparing with one expected output is wrong
    num_tests_left_out: int = 0  # tests of the source that this form cannot hold
    call: str = ""  # the one expression whose repr the programs print, of a function
    starter: str = ""  # code that a solution must go on from
    title: str = ""
    rating: int | None = None  # as the contest's own people measured it
    tags: tuple[str, ...] = ()
    origin: str = ""  # where it was published: an address, or repository and path

    @property
    def public_tests(self) -> tuple[TestCase, ...]:
        return tuple(t for t in self.tests if t.visibility is Visibility.PUBLIC)

    @property
    def hidden_tests(self) -> tuple[TestCase, ...]:
        return tuple(t for t in self.tests if t.visibility is not Visibility.PUBLIC)
