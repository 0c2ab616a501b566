"""From the text of an explanation to its statements: one reader for each style."""

from collections.abc import Callable, Mapping

from simex.nlex.reading.compact import read_compact
from simex.nlex.reading.prose import read_prose
from simex.nlex.reading.raw_trace import read_raw_trace
from simex.nlex.statement import Statement
from simex.nlex.truth import Truth

Reader = Callable[[str, Truth], list[Statement]]

READERS: Mapping[str, Reader] = {
    "compact": read_compact,
    "prose": read_prose,
    "raw_trace": read_raw_trace,
}


def read_statements(text: str, style: str, truth: Truth) -> list[Statement]:
    """The statements of `text` in order; a style without a reader is read as prose."""
    return READERS.get(style, read_prose)(text, truth)
