"""Is the value that a call returned the one that was expected?

Both are compared in the driver as nodes of `sandbox.wire`: text that says type and
value. No object that an untrusted program made is ever rebuilt, hashed or asked, so
there is no `__eq__` to trust and nothing to unpickle.
"""

import dataclasses
import math
from collections.abc import Sequence

from simex.core.errors import UserError
from simex.sandbox import wire
from simex.sandbox.wire import Node

_MAX_INT_DIGITS = 257  # hexadecimal, with a sign: more than the largest double has
_MAX_REORDERED_BYTES = 1 << 18
_NUMBERS = ("i", "d")
_SAME_KIND = {"u": "l", "z": "S"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultRule:
    """Which differences between two values do not matter.

    nan equals nothing, a set is no list, and the keys of a dict are compared as exactly
    as the rule allows without its tolerance. By default a bool is no number.

    Example: by default ``(1, 2.0)`` answers ``[1, 2]``; by ``EXACT_RULE`` it does not,
    and -0.0 does not answer 0.0.
    """

    ignores_sequence_kind: bool = True  # tuple for list, frozenset for set
    ignores_number_kind: bool = True  # 3.0 for 3
    ignores_bool_kind: bool = False  # True for 1, where numbers are alike
    ignores_outer_tuple: bool = False  # tuple for list, of the whole value alone
    float_tol: float | None = None  # |a - b| <= float_tol * max(1, |b|), b expected


EXACT_RULE = ResultRule(ignores_sequence_kind=False, ignores_number_kind=False)
# As `==`, after LiveCodeBench has made a list of an outermost tuple.
LIVECODEBENCH_RULE = ResultRule(
    ignores_sequence_kind=False, ignores_bool_kind=True, ignores_outer_tuple=True
)
_RULES = {"exact": EXACT_RULE, "livecodebench": LIVECODEBENCH_RULE}


def rule_of(checker: object, float_tol: float | None = None) -> ResultRule:
    """How results are compared in problems with that checker of stdouts.

    Raises UserError for a tolerance where the checker is "exact" or "livecodebench".
    """
    rule = _RULES.get(checker) if isinstance(checker, str) else None
    if rule is None:
        return ResultRule(float_tol=float_tol)
    if float_tol is not None:
        raise UserError(
            f"The checker {checker!r} allows no tolerance; got {float_tol}. Leave it "
            "out, or name another checker."
        )
    return rule


class ExpectedResult:
    """The value that a right program returns, ready for comparisons."""

    def __init__(self, value: object):
        """Raises ValueError for a value that `wire` has no text for."""
        self._text = wire.encode_value(value)
        self._num_lines = self._text.count(b"\n")
        self._has_nan = b"nan" in self._text  # texts are hexadecimal: a float's only

    def find_fault(self, text: bytes, rule: ResultRule = ResultRule()) -> str | None:
        """Why the returned `text` is not this value; None if it is."""
        if text.startswith(b"?") or b"\n?" in text:
            return (
                "it returned something that is not built of plain builtin values, or "
                "nests too deeply"
            )
        if text == self._text and not self._has_nan:
            return None  # what an honest program nearly always returns
        # Equal values have equally many parts. This bounds what is parsed below.
        if text.count(b"\n") != self._num_lines:
            return "it returned another value"
        try:
            node = wire.parse_value(text)
        except ValueError as error:
            return f"what it returned is not the text of a value: {error}"
        if rule.ignores_outer_tuple and node.kind == "u":
            node = node._replace(kind="l")
        if _is_same(node, wire.parse_value(self._text), rule):
            return None
        return "it returned another value"


def is_same_result(text: bytes, other: bytes) -> bool:
    """Did two calls return the same, whatever order their sets were written in?"""
    if text == other:
        return True
    # Another order has the same lines. Longer texts are not worth their parsing.
    if len(text) != len(other) or len(text) > _MAX_REORDERED_BYTES:
        return False
    try:
        one, two = wire.parse_value(text), wire.parse_value(other)
    except ValueError:
        return False
    return _text(one, EXACT_RULE) == _text(two, EXACT_RULE)


def _is_same(given: Node, wanted: Node, rule: ResultRule) -> bool:
    given, wanted = _without_bool(given, rule), _without_bool(wanted, rule)
    if given.kind in _NUMBERS and wanted.kind in _NUMBERS:
        return _is_same_number(given, wanted, rule)
    if _kind(given, rule) != _kind(wanted, rule):
        return False
    if len(given.children) != len(wanted.children):
        return False
    if given.kind == "m":
        return _are_same_pairs(given.children, wanted.children, rule)
    if given.kind in ("S", "z"):
        return _sorted_texts(given, rule) == _sorted_texts(wanted, rule)
    if given.kind in ("l", "u"):
        pairs = zip(given.children, wanted.children)
        return all(_is_same(a, b, rule) for a, b in pairs)
    if given.kind == "c":
        return _has_same_parts(given.text, wanted.text)
    return given.text == wanted.text


def _kind(node: Node, rule: ResultRule) -> str:
    if not rule.ignores_sequence_kind:
        return node.kind
    return _SAME_KIND.get(node.kind, node.kind)


def _without_bool(node: Node, rule: ResultRule) -> Node:
    """A bool as the integer that it is equal to, where the rule lets it be one."""
    if rule.ignores_bool_kind and node.kind in ("t", "f"):
        return Node("i", "1" if node.kind == "t" else "0")
    return node


def _is_same_number(given: Node, wanted: Node, rule: ResultRule) -> bool:
    if not rule.ignores_number_kind:
        return given == wanted and given.text != "nan"
    if given == wanted and given.text != "nan":
        return True
    if given.kind == wanted.kind == "i":
        return False
    a, b = _float_of(given), _float_of(wanted)
    if a is None or b is None:
        return False
    if rule.float_tol is None:
        return _exact_text(given) == _exact_text(wanted) and not math.isnan(a)
    if math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= rule.float_tol * max(1.0, abs(b))


def _float_of(node: Node) -> float | None:
    """None for an integer that no double is near."""
    if node.kind == "d":
        return wire.parse_float(node.text)
    if len(node.text) > _MAX_INT_DIGITS:
        return None
    try:
        return float(int(node.text, 16))
    except OverflowError:
        return None


def _exact_text(node: Node) -> str:
    """One text for all the numbers that are equal."""
    if node.kind == "i":
        return f"i{node.text}"
    value = wire.parse_float(node.text)
    return f"i{int(value):x}" if value.is_integer() else f"d{value.hex()}"


def _has_same_parts(given: str, wanted: str) -> bool:
    pairs = zip(given.split(","), wanted.split(","))
    return all(wire.parse_float(a) == wire.parse_float(b) for a, b in pairs)


def _are_same_pairs(
    given: Sequence[Node], wanted: Sequence[Node], rule: ResultRule
) -> bool:
    # Sorted, never hashed: a program could choose keys that all have one hash.
    pairs, wanted_pairs = _sorted_pairs(given, rule), _sorted_pairs(wanted, rule)
    return all(
        key == wanted_key and _is_same(value, wanted_value, rule)
        for (key, value), (wanted_key, wanted_value) in zip(pairs, wanted_pairs)
    )


def _sorted_pairs(nodes: Sequence[Node], rule: ResultRule) -> list[tuple[str, Node]]:
    pairs = [(_text(k, rule), v) for k, v in zip(nodes[::2], nodes[1::2])]
    return sorted(pairs, key=lambda pair: pair[0])


def _sorted_texts(node: Node, rule: ResultRule) -> list[str]:
    return sorted(_text(child, rule) for child in node.children)


def _text(node: Node, rule: ResultRule) -> str:
    """A text that two values share if they are the same without a tolerance."""
    node = _without_bool(node, rule)
    if node.kind in _NUMBERS and rule.ignores_number_kind:
        return _exact_text(node)
    if node.kind in ("S", "z"):
        parts = _sorted_texts(node, rule)
    else:
        parts = [_text(child, rule) for child in node.children]
    return f"{_kind(node, rule)}{node.text}({' '.join(parts)})"
