"""The value of an expression over literals: what "3 + 4" or "len(a)" comes to.

Statements may say things such as "x % 2 == 0 is true" that no fact says word by word.
They are worked out here, from literals and from the values of a trace. No code of a
program runs, and sizes are bounded: a text that asks for 9 ** 9 ** 9 gets no answer.
"""

import ast
import functools
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARS = 200
_MAX_PARSED_CHARS = 2_000  # of a literal
_MAX_BITS = 4_096
_MAX_LENGTH = 10_000
_CACHED = 16_384

_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARISONS: Mapping[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: a is b or a == b,
    ast.IsNot: lambda a, b: not (a is b or a == b),
}
_UNARY: Mapping[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (abs, bool, float, int, len, list, max, min, ord, sorted, str, sum, tuple)
}


class Unknowable(Exception):
    """The expression has no value that can be told from literals alone."""


def evaluate(expression: str, values: Mapping[str, str]) -> Any:
    """The value of `expression`, whose names have the Python texts `values`.

    Raises:
      Unknowable: it is no such expression, it is too large, or it has no value.
    """
    # A literal is only read, however long.
    if len(expression) > MAX_CHARS and expression[:1] not in "\"'":
        raise Unknowable("too long")
    try:
        return _value(_parse(expression), values)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        raise Unknowable(str(error)) from None


@functools.lru_cache(maxsize=_CACHED)
def names_in(expression: str) -> frozenset[str] | None:
    """The variables of `expression`; None where it is no expression."""
    try:
        nodes = list(ast.walk(_parse(expression)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    called = {
        n.func
        for n in nodes
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    names = {n.id for n in nodes if isinstance(n, ast.Name) and n not in called}
    return frozenset(names)


@functools.lru_cache(maxsize=_CACHED)
def _parse(expression: str) -> ast.expr:
    with warnings.catch_warnings():
        # Odd escapes and the like in somebody's text are not our faults.
        warnings.simplefilter("ignore")
        return ast.parse(expression.strip(), mode="eval").body


@functools.lru_cache(maxsize=_CACHED)
def canonical(text: str) -> str:
    """One text for all ways to write a Python literal; other text is left alone."""
    if text.isdigit():
        return text.lstrip("0") or "0"
    if len(text) > _MAX_PARSED_CHARS:
        return text
    try:
        return repr(ast.literal_eval(_parse(text)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def _value(node: ast.expr, values: Mapping[str, str]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return ast.literal_eval(_parse(values[node.id]))
        case ast.BinOp():
            left, right = _value(node.left, values), _value(node.right, values)
            _refuse_large(node.op, left, right)
            return _OPERATORS[type(node.op)](left, right)
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_value(node.operand, values))
        case ast.BoolOp():
            is_and, result = isinstance(node.op, ast.And), None
            for part in node.values:
                result = _value(part, values)
                if bool(result) != is_and:
                    break
            return result
        case ast.Compare():
            return _compare(node, values)
        case ast.Subscript():
            return _value(node.value, values)[_index(node.slice, values)]
        case ast.List() | ast.Tuple() | ast.Set():
            kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
            return kind(_value(part, values) for part in node.elts)
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return {_value(k, values): _value(v, values) for k, v in pairs if k}
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(a, values) for a in node.args))
    raise Unknowable(f"no value for {type(node).__name__}")


def _compare(node: ast.Compare, values: Mapping[str, str]) -> bool:
    left = _value(node.left, values)
    for kind, comparator in zip(node.ops, node.comparators, strict=True):
        right = _value(comparator, values)
        if not _COMPARISONS[type(kind)](left, right):
            return False
        left = right
    return True


def _index(node: ast.expr, values: Mapping[str, str]) -> Any:
    if not isinstance(node, ast.Slice):
        return _value(node, values)
    parts = (node.lower, node.upper, node.step)
    return slice(*(None if p is None else _value(p, values) for p in parts))


def _refuse_large(kind: ast.operator, left: Any, right: Any) -> None:
    if isinstance(kind, ast.Mod) and isinstance(left, str | bytes):
        raise Unknowable("formatting")  # widths may be huge
    if isinstance(kind, ast.Pow | ast.LShift) and isinstance(right, int):
        size = left.bit_length() if isinstance(left, int) else 1
        if abs(right) * max(size, 1) > _MAX_BITS:
            raise Unknowable("too large")
    if isinstance(kind, ast.Mult):
        if isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > _MAX_BITS:
                raise Unknowable("too large")
            return
        for one, other in ((left, right), (right, left)):
            is_repeated = isinstance(one, int) and hasattr(other, "__len__")
            if is_repeated and one * _size(other) > _MAX_LENGTH:
                raise Unknowable("too large")


def _size(value: Any) -> int:
    """Characters and elements, all that containers hold counted: what `str` walks."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return 1 + sum(_size(k) + _size(v) for k, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return 1 + sum(map(_size, value))
    return 1
