"""Whether one statement is true, given where in the run it is said."""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from simex.nlex.align import align
from simex.nlex.evaluate import Unknowable, canonical, evaluate, names_in
from simex.nlex.reading import phrases
from simex.nlex.statement import Statement, StatementKind
from simex.nlex.truth import Truth

_MAX_ASSIGNMENTS = 64  # of values to the names of one expression
_LITERAL = re.compile(phrases.LITERAL)
_FACTS = frozenset(
    {
        StatementKind.SET,
        StatementKind.APPEND,
        StatementKind.BRANCH,
        StatementKind.CALL,
        StatementKind.RETURN,
        StatementKind.RAISE,
        StatementKind.WORKING,
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A statement with the verdict on it."""

    statement: Statement
    is_true: bool
    reason: str = ""  # why it is not


def mask_statement(statement: Statement, truth: Truth, *, is_strict: bool) -> int:
    """The slots of `truth` that say what `statement` says; 0 where none does.

    Strict is word by word; else a value may be written in any way.
    """
    kind, name, value = statement.kind, statement.name, statement.value
    if kind is StatementKind.COMPARISON:
        mask = truth.mask(StatementKind.BRANCH, name, value)
    elif kind is StatementKind.WORKING:
        mask = truth.mask(kind, "", value)
    elif kind not in _FACTS:
        return 0
    elif is_strict:
        mask = truth.mask(kind, name, value)
    elif kind is StatementKind.RAISE:
        mask = truth.mask(kind, "", value) or truth.mask_of_error(value)
    else:
        mask = truth.mask_of_equal(kind, name, value)
    if statement.line:
        mask &= truth.mask_of_line(statement.line)
    return mask


def judge_claims(
    statements: Sequence[Statement],
    partners: Sequence[int],
    masks: Sequence[int],
    truth: Truth,
) -> list[Judged]:
    """A verdict on each statement; those with a partner are true."""
    following = len(truth.slots)
    last_slots = [following] * len(statements)
    for index in range(len(statements) - 1, -1, -1):
        last_slots[index] = following
        if partners[index] >= 0:
            following = partners[index]
    judged: list[Judged] = []
    judge = _Judge(truth)
    turns = _find_true_turns(statements, truth)
    previous = -1
    for index, statement in enumerate(statements):
        if partners[index] >= 0:
            previous = partners[index]
            judged.append(Judged(statement=statement, is_true=True))
            continue
        if index in turns:
            judged.append(Judged(statement=statement, is_true=True))
            continue
        reason = judge.find_fault(statement, previous, last_slots[index])
        if reason and masks[index]:
            reason += " (but elsewhere)"
        judged.append(Judged(statement=statement, is_true=not reason, reason=reason))
    return judged


def _find_true_turns(statements: Sequence[Statement], truth: Truth) -> set[int]:
    """Which headings "Iteration 3:" come in an order in which loops turned.

    Some turns may be left out. Where in the run a heading stands is not asked: turns
    that are alike have partners that could as well be those of another.
    """
    told = [i for i, s in enumerate(statements) if s.kind is StatementKind.TURN]
    masks = [truth.mask_of_turn(statements[i].value) for i in told]
    partners = align(masks, len(truth.turns))
    return {i for i, partner in zip(told, partners, strict=True) if partner >= 0}


class _Judge:
    """Judges in the order of the text: prints are looked for where the last ended."""

    def __init__(self, truth: Truth):
        self._truth = truth
        self._printed = 0  # words of stdout that were told
        self._loop = 0  # loops that were told

    def find_fault(self, statement: Statement, first: int, last: int) -> str:
        """Why `statement` is false between slots `first` and `last`; "" if it is true."""
        match statement.kind:
            case StatementKind.SET if statement.is_state:
                return self._fault_of_state(statement, first, last)
            case StatementKind.BRANCH if statement.is_state:
                return self._fault_of_branch(statement, first, last)
            case StatementKind.COMPARISON:
                return self._fault_of_comparison(statement, first, last)
            case StatementKind.EQUATION:
                return self._fault_of_equation(statement, first, last)
            case StatementKind.LOOP:
                return self._fault_of_loop(statement)
            case StatementKind.ITERATION:
                return self._fault_of_iteration(statement)
            case StatementKind.PRINT:
                return self._fault_of_print(statement, first, last)
            case StatementKind.SET:
                return self._explain_set(statement, first, last)
        return f"no such {statement.kind.value} at this point of the run"

    def _explain_set(self, statement: Statement, first: int, last: int) -> str:
        known = self._truth.values_between(statement.name, first, last)
        if not known:
            return f"{statement.name} has no value here"
        shown = known[-1] if len(known[-1]) < 80 else known[-1][:80] + "…"
        return f"{statement.name} does not become that here; it is {shown}"

    def _fault_of_state(self, statement: Statement, first: int, last: int) -> str:
        told = canonical(statement.value)
        known = self._truth.values_between(statement.name, first, last)
        if any(canonical(value) == told for value in known):
            return ""
        return self._explain_set(statement, first, last)

    def _fault_of_branch(self, statement: Statement, first: int, last: int) -> str:
        # "3 > 2, so the condition holds" tells one branch twice.
        mask = self._truth.mask_of_equal(statement.kind, "", statement.value)
        if statement.line:
            mask &= self._truth.mask_of_line(statement.line)
        here = (1 << (last + 1)) - (1 << max(first, 0))
        return "" if mask & here else "no condition does that here"

    def _fault_of_comparison(self, statement: Statement, first: int, last: int) -> str:
        told, results = statement.value == "yes", []
        for result in self._results(statement.name, first, last):
            results.append(bool(result) == told)
        if not results:
            return "nobody can tell whether it holds"
        if not any(results):
            return f"{statement.name} {'does not hold' if told else 'holds'}"
        if names_in(statement.name) or self._is_familiar(statement.name, first, last):
            return ""
        return "these values do not meet here"

    def _is_familiar(self, expression: str, first: int, last: int) -> bool:
        """Whether a comparison of literals alone is about values of this run."""
        numbers = {canonical(part) for part in _LITERAL.findall(expression)}
        return all(
            number in self._truth.constants or self._truth.is_held(number, first, last)
            for number in numbers
        )

    def _fault_of_equation(self, statement: Statement, first: int, last: int) -> str:
        told, results = canonical(statement.value), []
        for result in self._results(statement.name, first, last):
            results.append(canonical(repr(result)))
            if results[-1] == told:
                return ""
        if not results:
            return "nobody can tell what it comes to"
        return f"{statement.name} comes to {results[-1][:80]}"

    def _results(self, expression: str, first: int, last: int) -> Iterator[object]:
        """What `expression` comes to, with any values that its names have here."""
        names = sorted(names_in(expression) or ())
        choices = [
            dict.fromkeys(self._truth.values_between(n, first, last)) for n in names
        ]
        chosen = itertools.islice(itertools.product(*choices), _MAX_ASSIGNMENTS)
        for texts in chosen:
            values: Mapping[str, str] = dict(zip(names, texts, strict=True))
            try:
                yield evaluate(expression, values)
            except Unknowable:
                continue

    def _fault_of_loop(self, statement: Statement) -> str:
        count, loops = int(statement.value), self._truth.loops
        for index, loop in enumerate(loops):
            is_meant = not statement.line or statement.line == loop.line
            # Loops with a line are told in their order; others anywhere.
            is_next = not statement.line or index >= self._loop
            if is_meant and is_next and loop.num_iterations == count:
                self._loop = index + 1 if statement.line else self._loop
                return ""
        counts = sorted({loop.num_iterations for loop in loops})
        return f"no loop runs so often here; loops run {counts} times"

    def _fault_of_iteration(self, statement: Statement) -> str:
        if not statement.name:
            number = int(statement.value)
            longest = max(
                (loop.num_iterations for loop in self._truth.loops), default=0
            )
            return "" if number <= longest else f"the longest loop has {longest}"
        told = canonical(statement.value)
        known: list[str] = []
        for loop in self._truth.loops:
            if loop.num_iterations >= statement.line:
                values = self._truth.values_at(statement.name, loop, statement.line)
                known += map(canonical, values)
        if told in known:
            return ""
        return f"after iteration {statement.line} it is {', '.join(known[:3]) or '?'}"

    def _fault_of_print(self, statement: Statement, first: int, last: int) -> str:
        words, told = self._truth.printed_words, statement.value
        if told[:1] in "\"'":
            try:
                told = str(evaluate(told, {}))
            except Unknowable:
                told = told.strip("\"'")
        wanted = told.split()
        if not wanted:
            # No words would be found anywhere; said is: nothing, or an empty line.
            lines = self._truth.printed_between(first, last).splitlines()
            has_words = bool(lines) and all(map(str.strip, lines))
            return "it prints words here" if has_words else ""
        for start in range(self._printed, len(words) - len(wanted) + 1):
            if words[start : start + len(wanted)] == wanted:
                self._printed = start + len(wanted)
                return ""
        # The end may be told again: "so the program prints 11".
        if words[-len(wanted) :] == wanted:
            return ""
        return "it does not print that here"
