"""Does each statement of an explanation stand in the trace?

The paper checks only an explanation's final answer; here every value, append, branch
and return that a compact explanation states is looked up among the trace's facts, in
order. Statements are read from the text alone, so the check holds for text that a
model wrote as well as for our own.
"""

import dataclasses
import difflib
import re
from collections.abc import Sequence

from simex.nlex.explanation import Explanation
from simex.nlex.facts import Fact, FactKind

_STATEMENT = re.compile(
    r"(?P<name>[A-Za-z_]\w*)(?P<op>\+?=)(?!=)|(?P<word>yes|no)\b|(?P<verb>call|return|raise) "
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """One thing that an explanation says, with its place in the text."""

    kind: FactKind
    name: str
    value: str
    start: int  # character offset in the explanation's text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grounding:
    """What the check found."""

    num_statements: int
    false_statements: tuple[Statement, ...]

    @property
    def score(self) -> float:
        """The share of true statements; 0 for an explanation that states nothing."""
        if not self.num_statements:
            return 0.0
        return 1 - len(self.false_statements) / self.num_statements


def check_grounding(explanation: Explanation, facts: Sequence[Fact]) -> Grounding:
    """Looks every statement of a compact explanation up in `facts`, in order.

    Statements and facts are aligned as two sequences; a statement without a partner of
    the same content is false. So one slip blames one statement, not all that follow.
    """
    statements = parse_statements(explanation.text)
    aligned = difflib.SequenceMatcher(
        a=[_content(s.kind, s.name, s.value) for s in statements],
        b=[_content(f.kind, f.name, f.value) for f in facts],
        autojunk=False,
    ).get_matching_blocks()
    true = {block.a + offset for block in aligned for offset in range(block.size)}
    return Grounding(
        num_statements=len(statements),
        false_statements=tuple(s for i, s in enumerate(statements) if i not in true),
    )


def parse_statements(text: str) -> list[Statement]:
    """The statements of a compact explanation, in order."""
    statements: list[Statement] = []
    position = 0
    while match := _STATEMENT.search(text, position):
        position = match.end()
        if match["word"]:
            kind, name, value = FactKind.BRANCH, "", match["word"]
        else:
            value = _read_value(text, position)
            position += len(value)
            kind, name = _read_kind(match)
            if kind is FactKind.CALL:
                name, value = value, ""
        statements.append(
            Statement(kind=kind, name=name, value=value, start=match.start())
        )
    return statements


def _read_kind(match: re.Match[str]) -> tuple[FactKind, str]:
    if match["verb"]:
        return FactKind(match["verb"]), ""
    kind = FactKind.SET if match["op"] == "=" else FactKind.APPEND
    return kind, match["name"]


def _read_value(text: str, start: int) -> str:
    """Python text from `start` to the first blank outside brackets and quotes."""
    depth, quote, position = 0, "", start
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char in " \n" and depth <= 0:
            break
        position += 1
    return text[start:position]


def _content(kind: FactKind, name: str, value: str) -> tuple[FactKind, str, str]:
    # What returns or raises is not named in the text.
    return kind, "" if kind in (FactKind.RETURN, FactKind.RAISE) else name, value
