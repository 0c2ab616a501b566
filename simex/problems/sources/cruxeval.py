"""CRUXEval: 800 short functions, each with one input and its output.

The record form is that of the benchmark's own file, one JSON object a line:
``{"code": "def f(n): ...", "input": "3", "output": "4", "id": "sample_0"}``. `input` is
the text between the brackets of the call, so it may hold several arguments.

It is an evaluation set: nothing here may be trained on.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.problems.problem import Limits, Problem, TestCase, Visibility
from simex.problems.program import Program, SourceItem
from simex.problems.rows import text_of

# The benchmark gives a check three seconds.
LIMITS = Limits(cpu_secs=3.0)
LICENSE = "MIT"
_FIELDS = ("id", "code", "input", "output")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CruxItem:
    """One function `f`, one call and the text of its value."""

    id: str
    code: str
    input: str
    output: str

    @property
    def call(self) -> str:
        """The call whose value is asked for."""
        return f"f({self.input})"


def load_items(path: pathlib.Path) -> tuple[CruxItem, ...]:
    """Reads a CRUXEval file.

    Raises:
        UserError: the file is missing, or a line is not a CRUXEval record.
    """
    return tuple(
        _parse_item(record, f"{path}: record {number}")
        for number, record in enumerate(read_jsonl(path), start=1)
    )


def parse_cruxeval(record: Mapping[str, Any]) -> SourceItem:
    """An item as a problem without a statement: what does the program print?

    Raises:
        BadRecord: a field is missing.
    """
    item = CruxItem(**{field: text_of(record, field) for field in _FIELDS})
    test = TestCase(
        stdin="", expected_stdout=f"{item.output}\n", visibility=Visibility.PUBLIC
    )
    problem = Problem(
        id=f"cruxeval/{item.id}",
        statement="",
        tests=(test,),
        checker="exact",
        source="cruxeval",
        composition=f"cruxeval/{item.id}",
        split="test",
        limits=LIMITS,
        license=LICENSE,
        call=item.call,
        origin="facebookresearch/cruxeval",
    )
    program = Program(
        source=answer_program(item), license=LICENSE, origin=problem.origin
    )
    return SourceItem(problem=problem, programs=(program,))


def find_items(path: pathlib.Path) -> tuple[CruxItem, ...] | None:
    """As `load_items`, but None where there is no such file.

    For evaluations that go on without the benchmark and say so.
    """
    return load_items(path) if path.exists() else None


def answer_program(item: CruxItem) -> str:
    """A program that prints the repr of the value that is asked for."""
    return f"{item.code}\nprint(repr({item.call}))\n"


def check_program(item: CruxItem, answer: str) -> str:
    """The benchmark's check of an answer: right if this program runs to its end.

    Formula: METHOD.md section 7. Any expression is let through, and so is an equal
    value of another type; `sandbox.literals.check_cruxeval_strict` is the stricter
    reading. Of the answer ``exit()`` the program does not get to its end.
    """
    return f"{item.code}\nassert {item.output} == {answer}"


def is_rejected(item: CruxItem, answer: str) -> bool:
    """Does the answer hold the call itself, instead of its value?

    The benchmark's scorer never runs such a generation. It leaves the count, but only
    where another one of the item is right; otherwise the item counts as 0.
    """
    return item.call in answer


def _parse_item(record: dict[str, object], where: str) -> CruxItem:
    values = {field: record.get(field) for field in _FIELDS}
    wrong = [field for field, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise UserError(
            f"{where}: a CRUXEval record must hold texts under {', '.join(_FIELDS)}; "
            f"got none under {', '.join(wrong)}. Use the benchmark's own file."
        )
    return CruxItem(**{field: str(value) for field, value in values.items()})
