"""Assert statements of benchmarks as calls with the values they must return.

Understood: ``assert f(1, [2]) == 3`` and the same turned round, ``is`` for None, True
and False, ``assert abs(f(1) - 0.5) < 1e-6``, ``assert math.isclose(f(1), 0.5)``. Any
other assert is counted as left out, because a guess would judge wrongly: what is
compared may be a set of the result, or a property of it.
"""

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from simex.problems.problem import CallCase, Visibility

ISCLOSE_TOLERANCE = 1e-9  # the default of math.isclose


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParsedAssertions:
    """The calls, the widest tolerance that any of them asks for, and what is left."""

    calls: tuple[CallCase, ...]
    float_tol: float | None
    num_left_out: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Assertion:
    call: ast.expr
    result: ast.expr
    float_tol: float | None = None


def parse_assertions(
    texts: Iterable[str],
    *,
    renamed: dict[str, str] | None = None,
    num_public: int = 0,
) -> ParsedAssertions:
    """Reads the asserts of test code, those below functions and loops included.

    Args:
        texts: Python code. One that does not parse counts as one that is left out.
        renamed: Functions by the name that the tests give them.
        num_public: So many of the first calls are public, the others private.
    """
    calls: list[CallCase] = []
    tolerances: list[float] = []
    num_left_out = 0
    for found in _assertions(texts):
        shown = len(calls) < num_public
        visibility = Visibility.PUBLIC if shown else Visibility.PRIVATE
        test = None
        if found is not None:
            test = _call_case(found, renamed or {}, visibility=visibility)
        if found is None or test is None:
            num_left_out += 1
            continue
        calls.append(test)
        tolerances += [found.float_tol] if found.float_tol is not None else []
    return ParsedAssertions(
        calls=tuple(calls),
        float_tol=max(tolerances, default=None),
        num_left_out=num_left_out,
    )


def literal_of(node: ast.expr) -> Any:
    """The value of a literal; every float in it is finite.

    Raises:
        ValueError: it is no literal, or it could not be written as one again.
    """
    try:
        value = ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if not _is_finite(value):  # 1e999 would come back as a name
        raise ValueError("it is not finite")
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float | complex):
        return value - value == 0
    if isinstance(value, dict):
        return all(map(_is_finite, [*value, *value.values()]))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_finite, value))
    return True


def _assertions(texts: Iterable[str]) -> Iterator[_Assertion | None]:
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            yield None
            continue
        for node in _in_order(tree):
            if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
                yield _parse_test(node.test)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement once, as written; what stands in a loop cannot be one call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.For | ast.While):
            looped = [n for n in ast.walk(child) if isinstance(n, ast.Assert)]
            # Not one call but many: seen, and left out.
            yield from (ast.Assert(test=ast.Name(id="looped")) for _ in looped)
        elif isinstance(child, ast.stmt):
            yield child
            yield from _in_order(child)


def _parse_test(test: ast.expr) -> _Assertion | None:
    match test:
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
            is_turned = isinstance(right, ast.Call) and not isinstance(left, ast.Call)
            call, result = (right, left) if is_turned else (left, right)
            return _Assertion(call=call, result=result)
        case ast.Compare(
            left=ast.Call(
                func=ast.Name(id="abs"),
                args=[ast.BinOp(left=call, op=ast.Sub(), right=result)],
            ),
            ops=[ast.Lt() | ast.LtE()],
            comparators=[ast.Constant(value=float() as tolerance)],
        ):
            return _Assertion(call=call, result=result, float_tol=tolerance)
        case ast.Call(
            func=ast.Attribute(attr="isclose"),
            args=[call, result],
            keywords=keywords,
        ):
            return _Assertion(call=call, result=result, float_tol=_tolerance(keywords))
    return None


def _tolerance(keywords: list[ast.keyword]) -> float:
    values = [k.value.value for k in keywords if isinstance(k.value, ast.Constant)]
    return max([v for v in values if isinstance(v, float)], default=ISCLOSE_TOLERANCE)


def _call_case(
    found: _Assertion, renamed: dict[str, str], *, visibility: Visibility
) -> CallCase | None:
    match found.call:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            pass
        case _:
            return None
    try:
        values = tuple(literal_of(a) for a in args)
        result = literal_of(found.result)
    except ValueError:
        return None
    return CallCase(
        function=renamed.get(name, name),
        arguments=values,
        expected_result=result,
        visibility=visibility,
    )
