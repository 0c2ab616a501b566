"""Statements of a raw trace: each line is one."""

import re

from simex.nlex.statement import Statement, StatementKind
from simex.nlex.truth import Truth

_LINE = re.compile(
    r"[^\S\n]*(?P<what><(?:local|global)> [^\W\d]\w*=|<\w+> |)(?P<value>[^\n]*)"
)


def read_raw_trace(text: str, truth: Truth) -> list[Statement]:
    """The lines of `text`, in order; empty ones are passed over."""
    del truth
    statements: list[Statement] = []
    for match in _LINE.finditer(text):
        if not match[0].strip():
            continue
        statements.append(
            Statement(
                kind=StatementKind.LINE,
                name=match["what"],
                value=match["value"],
                start=match.start(),
                end=match.end(),
                value_start=match.start("value"),
            )
        )
    return statements
