"""Problems in simex's own form, one JSON object a line: see `simex.problems.records`."""

from collections.abc import Mapping
from typing import Any

from simex.problems.program import SourceItem
from simex.problems.records import from_record, item_of
from simex.problems.rows import BadRecord


def parse_own(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where a field is missing or of another type."""
    if "id" not in record or not isinstance(record.get("tests"), list):
        raise BadRecord("a record needs an id and a list of tests")
    try:
        return item_of(from_record({"license": "unknown"} | dict(record)))
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        raise BadRecord(f"is no problem: {error!r}") from None
