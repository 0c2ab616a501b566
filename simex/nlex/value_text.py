"""Where a Python value that stands in a text ends."""

import re
from collections.abc import Iterable

_CHUNK = re.compile(
    r"'(?:\\.|[^'\\\n])*'"  # strings first: what they hold is not looked at
    r'|"(?:\\.|[^"\\\n])*"'
    r"|[(\[{]|[)\]}]|\n|[^\S\n]+|[^\s'\"()\[\]{}]+|['\"]"
)
_PLAIN = re.compile(r"-?[\w.]+(?=\s|$)")


def find_value_end(text: str, start: int) -> int:
    """The end of the value from `start`: a blank outside brackets and quotes.

    A closing bracket that nothing opened and the end of the line end it too.
    """
    if plain := _PLAIN.match(text, start):
        return plain.end()
    depth, position = 0, start
    while found := _CHUNK.match(text, position):
        first = text[position]
        if first in "([{":
            depth += 1
        elif first in ")]}":
            depth -= 1
            if depth < 0:
                break
        elif first == "\n" or (first.isspace() and not depth):
            break
        position = found.end()
    return position


def find_known(text: str, start: int, known: Iterable[str]) -> str | None:
    """The longest of `known` that stands at `start` and ends where a word may."""
    fits = [value for value in known if value and text.startswith(value, start)]
    fits = [v for v in fits if not text[start + len(v) : start + len(v) + 1].isalnum()]
    return max(fits, key=len, default=None)


def is_regular(value: str) -> bool:
    """Whether a reader that does not know `value` would read it whole."""
    # Something follows it, as in a text: a bracket that is never closed would go on.
    return bool(value) and find_value_end(value + " 0", 0) == len(value)
