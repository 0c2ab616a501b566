"""What phrases about values, loops, calls and output state: from match to statements."""

import re
from collections.abc import Callable

from simex.nlex.evaluate import names_in
from simex.nlex.reading import phrases
from simex.nlex.reading.text import Found, Reading
from simex.nlex.statement import Statement, StatementKind
from simex.nlex.value_text import find_known

_MESSAGE_END = re.compile(r"\.(?=\s|$)|\n|$")
_ARITHMETIC = re.compile(phrases.ARITHMETIC)
# Words that are subjects of English sentences more often than names of variables.
_PRONOUNS = frozenset(
    ["it", "this", "that", "which", "what", "he", "there", "result", "output", "answer"]
)


def _read_set(
    reading: Reading, name: str, start: int, at: int, *, is_state: bool
) -> Found:
    """A variable's value at `at`, which may be worked out first: "3 + 4, which is 7"."""
    text, kind, working = reading.text, StatementKind.SET, None
    shown, is_known = "", 0
    if which := phrases.WHICH_IS.match(text, at):
        shown = which["expr"].strip()
        is_known = reading.truth.mask(StatementKind.WORKING, "", shown)
        if is_known or _is_arithmetic(reading, shown):
            working, at = which, which.end()
    found = reading.value(at, kind, name)
    if found is None:
        return
    value, value_start, end = found
    sum_ = _ARITHMETIC.match(text, at)
    if working is None and sum_ and sum_.end() > end:
        return  # "x = y // 2" and "x is 2 * 5" say no value
    if is_state and phrases.COUNTED.match(text, end):
        return
    # With names in it nobody knows what it was worked out from.
    if working is not None and (is_known or not names_in(shown)):
        yield Statement(
            kind=StatementKind.WORKING,
            name=name,
            value=working["expr"].strip(),
            start=working.start("expr"),
            end=working.end("expr"),
            value_start=working.start("expr"),
        )
    yield Statement(
        kind=kind,
        name=name,
        value=value,
        start=start if working is None else (value_start if value_start >= 0 else at),
        end=end,
        value_start=value_start,
        line=reading.line_before(start),
        is_state=is_state,
    )


def _is_arithmetic(reading: Reading, shown: str) -> bool:
    names = names_in(shown) if _ARITHMETIC.fullmatch(shown) else None
    return names is not None and names <= reading.truth.variables


def _is_subject(reading: Reading, match: re.Match[str]) -> bool:
    name = match["name"]
    if reading.is_variable(name):
        before = reading.text[max(match.start("name") - 1, 0) : match.start("name")]
        return before not in (".", "'", '"')
    return name.lower() not in _PRONOUNS and (len(name) == 1 or "_" in name)


def read_event(reading: Reading, match: re.Match[str]) -> Found:
    if _is_subject(reading, match):
        yield from _read_set(
            reading, match["name"], match.start("name"), match.end(), is_state=False
        )


def read_state(reading: Reading, match: re.Match[str]) -> Found:
    before = reading.text[max(match.start() - 24, 0) : match.start("name")]
    is_asked = phrases.ASKS.search(before) is not None
    if reading.is_variable(match["name"]) and not is_asked:
        yield from _read_set(
            reading, match["name"], match.start("name"), match.end(), is_state=True
        )


def read_from_to(reading: Reading, match: re.Match[str]) -> Found:
    if not reading.is_variable(match["name"]):
        return
    yield Statement(
        kind=StatementKind.SET,
        name=match["name"],
        value=match["before"],
        start=match.start("name"),
        end=match.end("before"),
        value_start=match.start("before"),
        is_state=True,
    )
    yield from _read_set(
        reading, match["name"], match.end("before"), match.end(), is_state=False
    )


def read_given(kind: StatementKind) -> Callable[[Reading, re.Match[str]], Found]:
    """For phrases in which the value comes before the name."""

    def read(reading: Reading, match: re.Match[str]) -> Found:
        name = match["name"]
        # "add 4 to t" is no append where t is a number.
        is_meant = kind is StatementKind.SET or name in reading.truth.grown
        if reading.is_variable(name) and is_meant:
            yield Statement(
                kind=kind,
                name=name,
                value=match["value"],
                start=match.start(),
                end=match.end(),
                value_start=match.start("value"),
                line=reading.line_before(match.start()),
            )

    return read


def read_grows(reading: Reading, match: re.Match[str]) -> Found:
    found = reading.value(match.end(), StatementKind.APPEND, match["name"])
    if found is not None:
        yield Statement(
            kind=StatementKind.APPEND,
            name=match["name"],
            value=found[0],
            start=match.start(),
            end=found[2],
            value_start=found[1],
            line=reading.line_before(match.start()),
        )


def read_loop(reading: Reading, match: re.Match[str]) -> Found:
    word = match["count"] or match["after"] or match["once"]
    count = {"once": 1, "twice": 2}.get(word, phrases.NUMBER_WORDS.get(word, word))
    group = next(g for g in ("count", "after", "once") if match[g])
    yield Statement(
        kind=StatementKind.LOOP,
        name="",
        value=str(int(count)),
        start=match.start(),
        end=match.end(),
        value_start=match.start(group),
        line=int(match["line"] or 0),
    )


def read_turn(reading: Reading, match: re.Match[str]) -> Found:
    yield Statement(
        kind=StatementKind.TURN,
        name="",
        value=match["number"],
        start=match.start(),
        end=match.end("number"),
        value_start=match.start("number"),
    )


def read_iteration(reading: Reading, match: re.Match[str]) -> Found:
    ordinal = phrases.ORDINALS.get(match["ordinal"] or "", 0)
    yield Statement(
        kind=StatementKind.ITERATION,
        name="",
        value=match["number"] or str(ordinal),
        start=match.start(),
        end=match.end(),
        value_start=match.start("number"),
    )


def read_after_iteration(reading: Reading, match: re.Match[str]) -> Found:
    position = match.end()
    while state := phrases.AND_STATE.match(reading.text, position):
        found = reading.value(state.end(), StatementKind.SET, state["name"])
        if found is None:
            return
        yield Statement(
            kind=StatementKind.ITERATION,
            name=state["name"],
            value=found[0],
            start=state.start("name"),
            end=found[2],
            value_start=found[1],
            line=int(match["number"]),
        )
        position = found[2]


def read_print(reading: Reading, match: re.Match[str]) -> Found:
    found = reading.value(match.end(), StatementKind.PRINT, "")
    if found is not None and found[1] >= 0:  # else "an empty list"
        line = phrases.NUMBERS.match(reading.text, found[1])
        found = (line[0], *line.span()) if line else found
    if found is not None:
        yield Statement(
            kind=StatementKind.PRINT,
            name="",
            value=found[0],
            start=match.start(),
            end=found[2],
            value_start=found[1],
        )


def read_return(reading: Reading, match: re.Match[str]) -> Found:
    name = match["name"] or match["of"] or ""
    name = name if name in reading.truth.called else ""
    found = reading.value(match.end(), StatementKind.RETURN, "")
    sum_ = _ARITHMETIC.match(reading.text, match.end())
    if found is not None and not (sum_ and sum_.end() > found[2]):
        yield Statement(
            kind=StatementKind.RETURN,
            name=name,
            value=found[0],
            start=match.start(),
            end=found[2],
            value_start=found[1],
        )


def read_call(reading: Reading, match: re.Match[str]) -> Found:
    name = match["a"] or match["b"] or match["c"]
    if match["a"] or name in reading.truth.structure.functions:
        yield Statement(
            kind=StatementKind.CALL,
            name=name,
            value="",
            start=match.start(),
            end=match.end(),
        )


def read_raise(reading: Reading, match: re.Match[str]) -> Found:
    group = "error" if match["error"] else "passive"
    known = reading.truth.irregular_values(StatementKind.RAISE, "")
    value = find_known(reading.text, match.start(group), known) or match[group]
    if value not in known and reading.text.startswith(": ", match.end(group)):
        message_end = _MESSAGE_END.search(reading.text, match.end(group))
        end = message_end.start() if message_end else len(reading.text)
        value = reading.text[match.start(group) : end]
    is_error = value in known or match[group].endswith(
        ("Error", "Exception", "Iteration", "Interrupt", "Exit")
    )
    if is_error:
        start = match.start(group)
        yield Statement(
            kind=StatementKind.RAISE,
            name="",
            value=value,
            start=match.start(),
            end=max(start + len(value), match.end()),
            value_start=start,
            line=int(match["line"] or 0),
        )
