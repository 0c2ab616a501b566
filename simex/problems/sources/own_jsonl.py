"""Problems in simex's own form, one JSON object a line: see `simex.problems.records`."""

from collections.abc import Mapping
from typing import Any

from simex.problems.program import Claim, Program, SourceItem
from simex.problems.records import ProblemWithPrograms, from_record
from simex.problems.rows import BadRecord


def parse_own(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or of another type."""
    if "id" not in record or not isinstance(record.get("tests"), list):
        raise BadRecord("a record needs an id and a list of tests")
    try:
        item = from_record({"license": "unknown"} | dict(record))
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        raise BadRecord(f"is no problem: {error!r}") from None
    return item_of(item)


def item_of(item: ProblemWithPrograms) -> SourceItem:
    """The same problem and programs in the form of a source."""
    problem = item.problem
    claimed = [(Claim.RIGHT, text) for text in item.right_programs]
    claimed += [(Claim.WRONG, text) for text in item.wrong_programs]
    return SourceItem(
        problem=problem,
        programs=tuple(
            Program(
                source=text,
                claim=claim,
                license=item.program_licenses.get(text, problem.license),
                origin=problem.origin,
            )
            for claim, text in claimed
        ),
    )
