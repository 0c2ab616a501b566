"""Wrong values on purpose: the negative control of every claim about explanations.

If a model gains as much from explanations whose values are wrong, it did not learn to
follow programs from them. The same corruptions measure the grounding check itself.
"""

import dataclasses
import re

import numpy as np

from simex.core.errors import UserError
from simex.nlex.explanation import Explanation
from simex.nlex.reading import read_statements
from simex.nlex.statement import Statement, StatementKind
from simex.nlex.truth import Truth
from simex.traces.trace import Event, Trace

_NUMBER = re.compile(r"\d+")
_LETTER = re.compile(r"[A-Za-z]")
_SWAPPED = {
    "yes": "no",
    "no": "yes",
    "True": "False",
    "False": "True",
    "None": "0",
    "[]": "[0]",
    "()": "(0,)",
    "{}": "{0: 0}",
    "set()": "{0}",
    "''": "'a'",
    '""': "'a'",
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OUTCOMES = (
    ("does not hold", "holds"),
    ("holds", "does not hold"),
    ("true", "false"),
    ("false", "true"),
    ("True", "False"),
    ("False", "True"),
)
# Lines of a raw trace that show code; wrong code would be another control.
_CODE = ("<code>", "<call>")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """How much of what is told is wrong, and where it goes wrong.

    Example: ``Noise(fraction=0.3)`` changes three of ten stated values.
    """

    fraction: float = 0.0
    place: str = "explanation"  # or "trace": then what is worked out from it is told
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise UserError(f"Noise.fraction must lie in [0, 1]; got {self.fraction}.")
        if self.place not in ("explanation", "trace"):
            raise UserError(
                f"Noise.place must be 'explanation' or 'trace'; got {self.place!r}."
            )


def corrupt_explanation(
    explanation: Explanation, truth: Truth, *, fraction: float, rng: np.random.Generator
) -> tuple[Explanation, int]:
    """`explanation` with each stated value changed with chance `fraction`.

    Returns it with the number of changed values. The claimed output stays.
    """
    statements = _corruptible(explanation, truth)
    chosen = [s for s in statements if rng.random() < fraction]
    return _replace(explanation, chosen, rng), len(chosen)


def corrupt_one_value(
    explanation: Explanation, truth: Truth, *, rng: np.random.Generator
) -> tuple[Explanation, int] | None:
    """`explanation` with one stated value changed, and the offset of its statement.

    None where it states no value.
    """
    statements = _corruptible(explanation, truth)
    if not statements:
        return None
    chosen = statements[int(rng.integers(len(statements)))]
    return _replace(explanation, [chosen], rng), chosen.start


def corrupt_trace(
    trace: Trace, *, fraction: float, rng: np.random.Generator
) -> tuple[Trace, int]:
    """`trace` with each value changed with chance `fraction`, and how many were."""
    count = 0

    def corrupt(value: str) -> str:
        nonlocal count
        if rng.random() >= fraction:
            return value
        count += 1
        return make_other_value(value, rng)

    def corrupt_event(event: Event) -> Event:
        changed = {name: corrupt(value) for name, value in event.changed.items()}
        value = event.value
        if value is not None and event.depth > 0:
            value = corrupt(value)
        return dataclasses.replace(event, changed=changed, value=value)

    events = tuple(corrupt_event(event) for event in trace.events)
    return dataclasses.replace(trace, events=events), count


def make_other_value(value: str, rng: np.random.Generator) -> str:
    """A text like `value` that says something else: 4 becomes 7, yes becomes no."""
    if value in _SWAPPED:
        return _SWAPPED[value]
    numbers = list(_NUMBER.finditer(value))
    if numbers:
        found = numbers[int(rng.integers(len(numbers)))]
        return (
            value[: found.start()] + _other_number(found[0], rng) + value[found.end() :]
        )
    # Not the first letter of b'' or of a class in quotes: inside.
    letters = list(_LETTER.finditer(value, 1)) or list(_LETTER.finditer(value))
    if letters:
        found = letters[int(rng.integers(len(letters)))]
        others = [c for c in _LETTERS if c != found[0].lower()]
        other = others[int(rng.integers(len(others)))]
        return value[: found.start()] + other + value[found.end() :]
    return value[:1] + "0" + value[1:]


def _other_number(digits: str, rng: np.random.Generator) -> str:
    if len(digits) > 15:
        return digits[:-1] + str((int(digits[-1]) + int(rng.integers(1, 10))) % 10)
    number = int(digits) + int(rng.integers(1, 10))
    # As many digits, so that "0.05" does not turn into "0.5" and the like.
    return str(number).zfill(len(digits))


def _corruptible(explanation: Explanation, truth: Truth) -> list[Statement]:
    statements = read_statements(explanation.text, explanation.style, truth)
    return [s for s in statements if _is_corruptible(s)]


def _is_corruptible(statement: Statement) -> bool:
    if statement.kind is StatementKind.COMPARISON:
        return True
    if statement.kind is StatementKind.LINE and statement.name.startswith(_CODE):
        return False
    if statement.kind in (StatementKind.CALL, StatementKind.TURN):
        return False
    if statement.kind is StatementKind.ITERATION:
        return bool(statement.name)
    return statement.value_start >= 0 and bool(statement.value)


def _replace(
    explanation: Explanation, chosen: list[Statement], rng: np.random.Generator
) -> Explanation:
    text = explanation.text
    for statement in sorted(chosen, key=lambda s: s.start, reverse=True):
        start, end, told = _place_of_value(statement, text)
        other = make_other_value(told, rng) if told not in dict(_OUTCOMES) else None
        text = text[:start] + (other or dict(_OUTCOMES)[told]) + text[end:]
    return dataclasses.replace(explanation, text=text)


def _place_of_value(statement: Statement, text: str) -> tuple[int, int, str]:
    if statement.value_start < 0:
        for told, _ in _OUTCOMES:
            at = text.find(told, statement.start, statement.end)
            if at >= 0:
                return at, at + len(told), told
        return statement.start, statement.end, text[statement.start : statement.end]
    start = statement.value_start
    return start, start + len(statement.value), statement.value
