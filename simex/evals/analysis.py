"""Where simulation breaks: accuracy by what a program does, and by what is said of it.

Each prediction is joined with the trace of what really happened. From the trace: how
long it is, how large its numbers get. From the source: how deep loops nest, whether a
function calls itself. From the grounding check of the model's own explanation: which
share of its statements is true, and what its first false one is about.
"""

import ast
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simex.evals.intervals import Estimate, mean_with_interval
from simex.nlex.grounding import check_text
from simex.nlex.layout import END_THINK, THINK
from simex.nlex.truth import Truth
from simex.traces.trace import Trace

_LOOPS = (ast.For, ast.While, ast.comprehension, ast.AsyncFor)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NUMBER = re.compile(r"\d+")
NO_FALSE = "nothing is false"

Records = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Shares of some records, part by part. Example: accuracy by loop depth."""

    name: str
    title: str
    rows: tuple[tuple[str, Estimate], ...]  # label of the part, its share

    def as_rows(self) -> list[dict[str, Any]]:
        """JSON-ready rows."""
        return [{"part": label, **e.as_dict()} for label, e in self.rows]


def describe_prediction(
    record: Mapping[str, Any], trace: Trace, *, style: str
) -> dict[str, Any]:
    """The features of one prediction of `evaluate_prediction` and its true run."""
    thought = record["text"].partition(THINK)[2].partition(END_THINK)[0]
    grounding = check_text(thought, Truth(trace), style=style)
    judged = grounding.judged
    first = next((i for i, j in enumerate(judged) if not j.is_true), None)
    return {
        "id": record["id"],
        "group": record["group"],
        "role": record["role"],
        "is_right": record["is_right"],
        "events": len(trace.events),
        "loop_depth": loop_depth(trace.source),
        "recursion": is_recursive(trace.source),
        "digits": most_digits(trace),
        "statements": len(judged),
        "false_statements": len(grounding.false_statements),
        "completeness": grounding.completeness,
        "first_false": first,
        "first_false_kind": None
        if first is None
        else judged[first].statement.kind.value,
        "first_false_text": None
        if first is None
        else thought[judged[first].statement.start : judged[first].statement.end],
    }


def loop_depth(source: str) -> int:
    """How many loops nest at most, comprehensions included; 0 for no program."""

    def depth(node: ast.AST) -> int:
        # The generators of one comprehension nest in each other.
        generators = getattr(node, "generators", None)
        own = len(generators) if generators else int(isinstance(node, _LOOPS[:2]))
        inner = [
            depth(n) for n in ast.iter_child_nodes(node) if n not in (generators or [])
        ]
        return own + max(inner, default=0)

    tree = _parse(source)
    return 0 if tree is None else depth(tree)


def is_recursive(source: str) -> bool:
    """Whether a function calls a function of its own name."""
    tree = _parse(source)
    if tree is None:
        return False
    return any(
        isinstance(call, ast.Call)
        and getattr(call.func, "id", getattr(call.func, "attr", None)) == function.name
        for function in ast.walk(tree)
        if isinstance(function, _FUNCTIONS)
        for call in ast.walk(function)
    )


def most_digits(trace: Trace) -> int:
    """The digits of the longest number that a variable held or that was printed."""
    texts = [value for event in trace.events for value in event.changed.values()]
    numbers = _NUMBER.findall("\n".join([*texts, trace.stdout]))
    return max((len(number.lstrip("0")) or 1 for number in numbers), default=0)


def break_down(records: Records) -> list[Breakdown]:
    """Accuracy by every feature, and what first goes wrong."""
    events = np.quantile([r["events"] for r in records], [0.25, 0.5, 0.75])
    breakdowns = [
        _accuracy(
            records, "events", "Accuracy by events of the trace", _binned(events)
        ),
        _accuracy(records, "loop_depth", "Accuracy by depth of loops", _capped(3)),
        _accuracy(records, "recursion", "Accuracy by recursion", _yes_or_no),
        _accuracy(
            records, "digits", "Accuracy by digits of the largest number", _capped(4)
        ),
        _accuracy(records, "role", "Accuracy on right and on wrong programs", str),
        _accuracy(
            records,
            "false_statements",
            "Accuracy by false statements of the explanation",
            _capped(3),
        ),
    ]
    return [*breakdowns, _first_false(records), _true_before(records)]


def _accuracy(
    records: Records, name: str, title: str, label: Callable[[Any], str]
) -> Breakdown:
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda r: r[name]):
        parts.setdefault(label(record[name]), []).append(record)
    rows = [(part, _share(chosen, "is_right")) for part, chosen in parts.items()]
    return Breakdown(name=name, title=title, rows=tuple(rows))


def _first_false(records: Records) -> Breakdown:
    """Of all explanations, in which share the first false statement is of each kind."""
    kinds = [r["first_false_kind"] or NO_FALSE for r in records]
    rows = []
    for kind in sorted(set(kinds), key=lambda k: -kinds.count(k)):
        flags = [{"group": r["group"], "is": k == kind} for r, k in zip(records, kinds)]
        rows.append((kind, _share(flags, "is")))
    title = "What the first false statement is about"
    return Breakdown(name="first_false_kind", title=title, rows=tuple(rows))


def _true_before(records: Records) -> Breakdown:
    """Of the explanations that go wrong, how far they were by then."""
    wrong = [r for r in records if r["first_false"] is not None]
    labels = ("first quarter", "second", "third", "last quarter")
    places = [min(3, int(4 * r["first_false"] / r["statements"])) for r in wrong]
    rows = []
    for number, label in enumerate(labels if wrong else ()):
        flags = [
            {"group": r["group"], "is": place == number}
            for r, place in zip(wrong, places, strict=True)
        ]
        rows.append((label, _share(flags, "is")))
    title = "Where in the explanation the first false statement stands"
    return Breakdown(name="first_false_place", title=title, rows=tuple(rows))


def _share(records: Records, name: str) -> Estimate:
    return mean_with_interval(
        [float(r[name]) for r in records], [r["group"] for r in records]
    )


def _binned(edges: np.ndarray) -> Callable[[float], str]:
    whole = sorted({int(edge) for edge in edges})

    def label(value: float) -> str:
        below = [edge for edge in whole if edge < value]
        above = [edge for edge in whole if edge >= value]
        if not below or not above:
            return f"to {above[0]}" if above else f"from {below[-1] + 1}"
        first, last = below[-1] + 1, above[0]
        return str(first) if first == last else f"{first}–{last}"

    return label


def _capped(most: int) -> Callable[[int], str]:
    return lambda value: f"{most}+" if value >= most else str(value)


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _parse(source: str) -> ast.AST | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
