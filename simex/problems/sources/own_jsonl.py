"""Problems in simex's own form, one JSON object a line: see `simex.problems.records`."""

from collections.abc import Mapping
from typing import Any

from simex.problems.program import SourceItem
from simex.problems.records import from_record, item_of
from simex.problems.rows import BadRecord
from simex.problems.splits import SPLITS


def parse_own(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or of another type."""
    if "id" not in record or not isinstance(record.get("tests"), list):
        raise BadRecord("a record needs an id and a list of tests")
    for name in ("right_programs", "wrong_programs", "tags"):
        if not isinstance(record.get(name, []), list):
            raise BadRecord(f"{name} must be a list")
    try:
        item = item_of(from_record({"license": "unknown"} | dict(record)))
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        SyntaxError,
        RecursionError,  # as MemoryError of a literal that nests too deeply
        MemoryError,
    ) as error:
        raise BadRecord(f"is no problem: {error!r}") from None
    problem = item.problem
    if problem.split not in SPLITS:
        raise BadRecord(f"split must be one of {', '.join(SPLITS)}: {problem.split!r}")
    return item
