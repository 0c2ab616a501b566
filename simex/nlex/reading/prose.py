"""Statements of prose: our own sentences, and what language models write freely.

What is read are assignments, states, arithmetic, comparisons with their outcome, loop
counts, calls, returned, raised and printed values. The names of the program tell "x is
7" from "it is 7". A sentence that fits no phrase is no statement; a wrong guess about
free text would punish good explanations.
"""

import bisect
import re
from collections.abc import Callable, Iterator, Sequence

from simex.nlex.reading import conditions, handlers, phrases
from simex.nlex.reading.text import Found, Reading
from simex.nlex.statement import Statement, StatementKind
from simex.nlex.truth import Truth

# Longer texts are cut: what no person reads through, no policy is paid for.
MAX_CHARS = 200_000

_Handler = Callable[[Reading, re.Match[str]], Found]

# In the order of precedence: what an earlier one took, a later one does not see. The
# words are needed for a match; a search for them is far quicker than a pattern.
_HANDLERS: tuple[tuple[re.Pattern[str], _Handler, tuple[str, ...]], ...] = (
    (phrases.RAISE, handlers.read_raise, ("ais", "hrow")),
    (phrases.RETURN, handlers.read_return, ("eturn",)),
    (phrases.PRINT, handlers.read_print, ("rint", "utput")),
    (phrases.GROWS, handlers.read_grows, ("grows by the element",)),
    (phrases.EVENT, handlers.read_event, (" ",)),
    (phrases.FROM_TO, handlers.read_from_to, (" from ",)),
    (phrases.VERB_FIRST, handlers.read_event, ("et", "nitial", "pdat")),
    (phrases.AFTER_ITERATION, handlers.read_after_iteration, ("fter iteration",)),
    (phrases.OWN_CONDITION, conditions.read_condition, ("ondition",)),
    (phrases.CONDITION, conditions.read_condition, ("ondition",)),
    (
        phrases.BRANCH,
        conditions.read_branch,
        ("ondition", " branch", " block", " body"),
    ),
    (phrases.APPENDED, handlers.read_given(StatementKind.APPEND), ("ed to", "ed onto")),
    (
        phrases.APPENDS,
        handlers.read_given(StatementKind.APPEND),
        ("ppend", "dd", "ush"),
    ),
    (
        phrases.ASSIGNED_TO,
        handlers.read_given(StatementKind.SET),
        ("assigned", "ed in"),
    ),
    (phrases.ASSIGNS, handlers.read_given(StatementKind.SET), ("ssign", "tor", "av")),
    (phrases.LOOP, handlers.read_loop, ("time", "iteration", "once", "twice")),
    (phrases.COMPARISON, conditions.read_comparison, ("<", ">", "=", " in ")),
    (phrases.IN_WORDS, conditions.read_in_words, (" is ",)),
    (phrases.EQUATION, conditions.read_equation, ("(", "[", *"+-*/%&|^<>")),
    (phrases.EQUALS_SIGN, handlers.read_state, ("=", "←")),
    (phrases.STATE, handlers.read_state, (" ",)),
    (phrases.CALL, handlers.read_call, ("call", "nvoke", "nter")),
    (phrases.TURN, handlers.read_turn, ("Iteration ",)),
    (phrases.ITERATION, handlers.read_iteration, ("teration", "pass", "turn")),
)


def read_prose(text: str, truth: Truth) -> list[Statement]:
    """The statements of free or template prose, in order; any text is accepted."""
    reading = Reading(text[:MAX_CHARS], truth)
    found: list[Statement] = []
    unread = reading.text
    quoted = [match.span() for match in phrases.QUOTED.finditer(unread)]
    ends: set[tuple[StatementKind, int]] = (
        set()
    )  # each is stated once: "y = 3 + 7 = 10"
    for pattern, handler, words in _HANDLERS:
        if not any(word in unread for word in words):
            continue
        new: list[Statement] = []
        for match in _find_outside(quoted, pattern, unread):
            new += [s for s in handler(reading, match) if (s.kind, s.end) not in ends]
        if new:
            unread = _blank(unread, new)
            found += new
            ends |= {(statement.kind, statement.end) for statement in new}
    return sorted(found, key=lambda s: (s.start, s.end))


def _find_outside(
    quoted: Sequence[tuple[int, int]], pattern: re.Pattern[str], text: str
) -> Iterator[re.Match[str]]:
    """Matches that do not begin within a quoted text: what a program prints is no claim."""
    position = 0
    while match := pattern.search(text, position):
        index = bisect.bisect_left(quoted, (match.start(), 0)) - 1
        if index >= 0 and match.start() < quoted[index][1]:
            position = quoted[index][1]
            continue
        yield match
        position = max(match.end(), match.start() + 1)


def _blank(text: str, taken: Sequence[Statement]) -> str:
    """`text` with a mark that fits no pattern in the place of each taken character."""
    parts: list[str] = []
    position = 0
    for statement in sorted(taken, key=lambda s: s.start):
        start = max(statement.start, position)
        parts += [text[position:start], "\0" * (statement.end - start)]
        position = max(position, statement.end)
    return "".join([*parts, text[position:]])
