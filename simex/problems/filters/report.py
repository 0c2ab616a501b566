"""How many of what was dropped for which reason, with examples and places."""

import collections
from typing import Any

MAX_EXAMPLES = 5
MAX_DETAIL_CHARS = 300


class DropReport:
    """Counts by reason; of each the first few, with their place and what was seen."""

    def __init__(self):
        self._counts: collections.Counter[str] = collections.Counter()
        self._examples: dict[str, list[dict[str, str]]] = {}

    def add(self, reason: str, place: str, detail: str = "") -> None:
        """One more for `reason`."""
        self._counts[reason] += 1
        shown = self._examples.setdefault(reason, [])
        if len(shown) < MAX_EXAMPLES:
            shown.append({"place": place, "detail": detail[:MAX_DETAIL_CHARS]})

    def to_record(self) -> dict[str, dict[str, Any]]:
        """{reason: {"count", "examples"}}, the most frequent first."""
        return {
            reason: {"count": count, "examples": self._examples[reason]}
            for reason, count in sorted(
                self._counts.items(), key=lambda pair: (-pair[1], pair[0])
            )
        }

    @property
    def total(self) -> int:
        """How many were dropped in all."""
        return self._counts.total()
