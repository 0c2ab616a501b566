"""What the body of a function does with one of its parameters."""

import ast
import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterUse:
    """Evidence about the values that a parameter takes.

    Example: in ``def f(s): return s[1:].upper() if s != "no" else s`` the use of `s`
    has the attributes {"upper"} and the constants ("'no'",).
    """

    attributes: frozenset[str]  # read from the parameter or from a slice of it
    types: tuple[str, ...]  # names it is checked against with isinstance
    constants: tuple[str, ...]  # literals it is compared with, as text
    text_types: frozenset[type]  # str or bytes, of the literals given to its methods
    is_called: bool = False
    is_char: bool = False
    is_number: bool = False
    is_whole_number: bool = False
    is_iterated: bool = False


_BIT_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)
_NEVER = "an attribute that no builtin value lets be set"


def observe_use(name: str, function: ast.FunctionDef) -> ParameterUse:
    """Gathers the evidence about the parameter `name` from the whole definition."""
    nodes = list(ast.walk(function))
    constants = [c for n in nodes for c in _compared_constants(n, name)]
    return ParameterUse(
        attributes=frozenset(a for n in nodes for a in _attributes(n, name)),
        types=tuple(t for n in nodes for t in _checked_types(n, name)),
        constants=tuple(dict.fromkeys(constants)),
        text_types=frozenset(t for n in nodes for t in _text_types(n, name)),
        is_called=any(_is_call_of(n, name) for n in nodes),
        is_char=any(_is_char(n, name) for n in nodes),
        is_number=any(_is_arithmetic(n, name) for n in nodes),
        is_whole_number=any(_is_whole_arithmetic(n, name) for n in nodes),
        is_iterated=any(_is_loop_over(n, name) for n in nodes),
    )


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _attributes(node: ast.AST, name: str) -> list[str]:
    if not isinstance(node, ast.Attribute):
        return []
    base = node.value
    if isinstance(base, ast.Subscript) and isinstance(base.slice, ast.Slice):
        base = base.value
    if not _is_name(base, name):
        return []
    return [node.attr if isinstance(node.ctx, ast.Load) else _NEVER]


def _checked_types(node: ast.AST, name: str) -> list[str]:
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[value, types]):
            if _is_name(value, name):
                return [n.id for n in ast.walk(types) if isinstance(n, ast.Name)]
    return []


def _text_types(node: ast.AST, name: str) -> set[type]:
    literals: list[ast.expr] = []
    match node:
        case ast.Call(func=ast.Attribute(value=base), args=arguments):
            literals = arguments if _is_name(base, name) else []
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[whole]):
            literals = [left] if _is_name(whole, name) else []
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            sides = [left, right]
            literals = sides if any(_is_name(s, name) for s in sides) else []
    found = {type(n.value) for n in literals if isinstance(n, ast.Constant)}
    return found & {str, bytes}


def _compared_constants(node: ast.AST, name: str) -> list[str]:
    if not isinstance(node, ast.Compare) or not _is_name(node.left, name):
        return []
    elements: list[ast.expr] = []
    for other in node.comparators:
        elements += other.elts if isinstance(other, ast.Tuple | ast.List) else [other]
    values = [e.value for e in elements if isinstance(e, ast.Constant)]
    return [repr(value) for value in values if value not in (None, Ellipsis)]


def _is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and _is_name(node.func, name)


def _is_char(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="ord"), args=[argument]):
            return _is_name(argument, name)
        case ast.Call(func=ast.Attribute(value=module), args=[argument, *_]):
            return _is_name(module, "unicodedata") and _is_name(argument, name)
    return False


def _is_loop_over(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.For | ast.comprehension) and _is_name(node.iter, name)


def _is_arithmetic(node: ast.AST, name: str) -> bool:
    """Does the node compute with the parameter as with a number?

    ``x * 2``, ``x + 1`` and ``x % 2`` do; ``"-" * x`` does; ``x + y`` may be anything.
    """
    if not isinstance(node, ast.BinOp):
        return False
    sides = (node.left, node.right)
    if not any(_is_name(side, name) for side in sides):
        return False
    if isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Pow):
        return True
    numbers = (int, float)
    return any(isinstance(s, ast.Constant) and type(s.value) in numbers for s in sides)


def _is_whole_arithmetic(node: ast.AST, name: str) -> bool:
    match node:
        case ast.BinOp(left=left, right=right, op=op):
            sides = (left, right)
            return isinstance(op, _BIT_OPERATORS) and any(
                _is_name(side, name) for side in sides
            )
        case ast.Call(func=ast.Name(id="range" | "chr" | "hex"), args=arguments):
            return any(_is_name(argument, name) for argument in arguments)
    return False
