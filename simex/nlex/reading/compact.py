"""Statements of the compact style: `name=value`, `name+=element`, `yes`, `no`, verbs.

Whatever else stands there is a working, such as ``3 + 4``: nothing that a text says is
passed over, so that noise in it counts as wrong.
"""

import re

from simex.nlex.statement import Statement, StatementKind
from simex.nlex.truth import Truth
from simex.nlex.value_text import find_known, find_value_end

_OPENING = re.compile(
    r"(?P<name>[^\W\d]\w*)(?P<op>\+?=)(?!=)"
    r"|(?P<word>yes|no)(?=\s|$)"
    r"|(?P<verb>call|return|raise) "
)
_BLANK = re.compile(r"\s*")


def read_compact(text: str, truth: Truth) -> list[Statement]:
    """The statements of a compact explanation, in order; any text is accepted."""
    statements: list[Statement] = []
    position = _skip_blank(text, 0)
    while position < len(text):
        opening = _OPENING.match(text, position)
        if opening:
            statement = _read_statement(text, opening, truth)
        else:
            end = _find_gap_end(text, position)
            statement = _make(StatementKind.WORKING, "", text, position, position, end)
        statements.append(statement)
        position = _skip_blank(text, statement.end)
    return statements


def _read_statement(text: str, opening: re.Match[str], truth: Truth) -> Statement:
    start, end = opening.span()
    if opening["word"]:
        return _make(StatementKind.BRANCH, "", text, start, start, end)
    if opening["verb"]:
        kind, name = StatementKind(opening["verb"]), ""
    else:
        is_set = opening["op"] == "="
        kind = StatementKind.SET if is_set else StatementKind.APPEND
        name = opening["name"]
    known = find_known(text, end, truth.irregular_values(kind, name))
    if known is not None:
        value_end = end + len(known)
    elif kind is StatementKind.RAISE:
        value_end = _find_gap_end(text, end)
    else:
        value_end = find_value_end(text, end)
    if kind is StatementKind.CALL:
        return Statement(
            kind=kind,
            name=text[end:value_end],
            value="",
            start=start,
            end=value_end,
            value_start=end,
        )
    return _make(kind, name, text, start, end, value_end)


def _make(
    kind: StatementKind, name: str, text: str, start: int, value_start: int, end: int
) -> Statement:
    return Statement(
        kind=kind,
        name=name,
        value=text[value_start:end],
        start=start,
        end=end,
        value_start=value_start,
    )


def _find_gap_end(text: str, start: int) -> int:
    """The end of the last word before the next statement or the end of the line."""
    end = start
    while True:
        # A bracket that nothing opened is a word of its own.
        end = max(find_value_end(text, end), min(end + 1, len(text)))
        following = end
        while following < len(text) and text[following] in " \t":
            following += 1
        is_over = following >= len(text) or text[following].isspace()
        if is_over or _OPENING.match(text, following):
            return end
        end = following


def _skip_blank(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position
