"""A text of prose while it is read, and the values that stand in it."""

import re
from collections.abc import Iterator

from simex.nlex.evaluate import names_in
from simex.nlex.reading import phrases
from simex.nlex.statement import Statement, StatementKind
from simex.nlex.truth import Truth
from simex.nlex.value_text import find_known, find_value_end

_NUMBER = re.compile(r"-?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?$|-?(?:inf|nan)$")
# What starts like this is meant as a value even where it is no Python.
_VALUE_START = re.compile(r"\w*['\"]|[\[{<]|\((?=['\"\d\[({-])")
_LITERAL_START = re.compile(r"[-(]|(?:True|False|None)\b|\w+\(")

Found = Iterator[Statement]


class Reading:
    """One text while it is read."""

    def __init__(self, text: str, truth: Truth):
        """Makes ready to read `text`, which is about the run of `truth`."""
        # Code in backticks is read as it stands. Same length: offsets stay right.
        self.text = text.replace("`", " ")
        self.truth = truth

    def is_variable(self, name: str) -> bool:
        return name in self.truth.variables

    def line_before(self, start: int) -> int:
        line = phrases.ON_LINE.search(self.text, max(start - 20, 0), start)
        return int(line[1]) if line else 0

    def value(
        self, start: int, kind: StatementKind, name: str
    ) -> tuple[str, int, int] | None:
        """The value at `start` with its place; None where no literal stands."""
        known_values = self.truth.irregular_values(kind, name)
        known = find_known(self.text, start, known_values)
        if known is not None:
            return known, start, start + len(known)
        filler = phrases.FILLER.match(self.text, start)
        start = filler.end() if filler else start
        if empty := phrases.EMPTY.match(self.text, start):
            return phrases.EMPTY_TEXTS.get(empty["what"], "{}"), -1, empty.end()
        value = self.text[start : find_value_end(self.text, start)]
        value = value.rstrip(".,;:!?")
        if _NUMBER.match(value) or _VALUE_START.match(value):
            return value, start, start + len(value)
        if not _LITERAL_START.match(value):
            return None
        is_known = self.truth.mask_of_equal(kind, name, value) or "…" in value
        if is_known or names_in(value) == frozenset():
            return value, start, start + len(value)
        return None
