"""Words and tokens of statements and programs, the same for every way of writing."""

import re

_WORD = re.compile(r"[^\W_]+")
_TOKEN = re.compile(
    r"#[^\n]*"
    r"|'''.*?'''|\"\"\".*?\"\"\""
    r"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
    r"|\w+|[^\w\s]",
    re.DOTALL,
)


def words_of(text: str) -> list[str]:
    """Words of a text in lower case; marks, spacing and underscores aside."""
    return _WORD.findall(text.lower())


def tokens_of(source: str) -> list[str]:
    """Tokens of a program without comments and layout; texts in one kind of quotes.

    Works on programs that do not parse as well, which is why `tokenize` is not used.
    """
    found = (t for t in _TOKEN.findall(source) if not t.startswith("#"))
    return [f"'{t[1:-1]}'" if t[0] == '"' and t[1:2] != '"' else t for t in found]


def ngrams_of(parts: list[str], n: int) -> set[tuple[str, ...]]:
    """All runs of n parts; of a shorter list the whole list, of an empty one nothing."""
    if len(parts) < n:
        return {tuple(parts)} if parts else set()
    return {tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)}
