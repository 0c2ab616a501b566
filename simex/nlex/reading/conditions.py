"""What phrases about conditions, comparisons and sums state: from match to statements."""

import re

from simex.nlex.evaluate import names_in
from simex.nlex.reading import phrases
from simex.nlex.reading.text import Found, Reading
from simex.nlex.statement import Statement, StatementKind


def _outcome(match: re.Match[str]) -> str:
    return "no" if match["no"] else "yes" if match["yes"] else ""


def read_condition(reading: Reading, match: re.Match[str]) -> Found:
    shown = match["expr"].strip()
    names = names_in(shown)
    known = any(
        reading.truth.mask(StatementKind.BRANCH, shown, outcome)
        for outcome in ("yes", "no")
    )
    if not known and (names is None or not names <= reading.truth.variables):
        return
    yield _compared(match, shown, _outcome(match), match.start("expr"), match.end())


def read_comparison(reading: Reading, match: re.Match[str]) -> Found:
    shown, start = match["expr"].strip(), match.start()
    names = names_in(shown)
    if names is None or not names <= reading.truth.variables:
        return
    outcome = _outcome(match)
    before = reading.text[max(start - 24, 0) : start]
    if not outcome:
        is_claim = phrases.GIVES_REASON.search(before) or not names
        if phrases.ASKS.search(before) or not is_claim:
            return
    yield _compared(match, shown, outcome or "yes", start, match.end())


def _compared(
    match: re.Match[str], shown: str, outcome: str, start: int, end: int
) -> Statement:
    line = match["line"]
    return Statement(
        kind=StatementKind.COMPARISON,
        name=shown,
        value=outcome,
        start=start,
        end=end,
        line=int(line) if line else 0,
    )


_SIGNS = {
    "greater": ">",
    "larger": ">",
    "bigger": ">",
    "more": ">",
    "above": ">",
    "less": "<",
    "smaller": "<",
    "lower": "<",
    "fewer": "<",
    "below": "<",
    "equal": "==",
    "at least": ">=",
    "at most": "<=",
}
_PROPERTIES = {
    "even": "({}) % 2 == 0",
    "odd": "({}) % 2 == 1",
    "positive": "({}) > 0",
    "negative": "({}) < 0",
}


def read_in_words(reading: Reading, match: re.Match[str]) -> Found:
    before = reading.text[max(match.start() - 24, 0) : match.start()]
    if phrases.ASKS.search(before):
        return
    left = match["left"].strip()
    if match["property"]:
        shown = _PROPERTIES[match["property"]].format(left)
    else:
        than = " ".join(match["than"].removeprefix("strictly").split())
        right = match["right"].strip()
        if than == "divisible by":
            shown = f"({left}) % ({right}) == 0"
        else:
            sign = next(s for word, s in _SIGNS.items() if than.startswith(word))
            sign += "=" if than.endswith("or equal to") else ""
            shown = f"{left} {sign} {right}"
    names = names_in(shown)
    if names is not None and names <= reading.truth.variables:
        yield Statement(
            kind=StatementKind.COMPARISON,
            name=shown,
            value="no" if match["not"] else "yes",
            start=match.start(),
            end=match.end(),
        )


def read_branch(reading: Reading, match: re.Match[str]) -> Found:
    if match["branch"]:
        outcome = "yes" if match["branch"] == "if" else "no"
    else:
        outcome = _outcome(match)
    yield Statement(
        kind=StatementKind.BRANCH,
        name="",
        value=outcome,
        start=match.start(),
        end=match.end(),
        line=int(match["line"] or 0),
        is_state=True,
    )


def read_equation(reading: Reading, match: re.Match[str]) -> Found:
    shown = match["expr"].strip()
    names = names_in(shown)
    if names is None or not names <= reading.truth.variables:
        return
    found = reading.value(match.end(), StatementKind.RETURN, "")
    if found is None:
        return
    called = shown.partition("(")[0]
    is_call = called in reading.truth.structure.functions
    yield Statement(
        kind=StatementKind.RETURN if is_call else StatementKind.EQUATION,
        name=called if is_call else shown,
        value=found[0],
        start=match.start(),
        end=found[2],
        value_start=found[1],
    )
