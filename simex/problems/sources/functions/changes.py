"""Which names a piece of Python text changes in place."""

import ast

_MUTATORS = frozenset(
    {"append", "add", "update", "extend", "insert", "remove", "discard", "pop"}
    | {"popitem", "clear", "setdefault", "sort", "reverse", "appendleft"}
)


def changed_names(tree: ast.AST) -> set[str]:
    """Names whose items, attributes or contents are changed somewhere below `tree`.

    Example: {"a", "b", "c"} for ``a[0] = 1; b.x = 2; c.append(3); d = 4``.
    """
    changed: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript | ast.Attribute):
            if not isinstance(node.ctx, ast.Load):
                changed |= _base_name(node)
        elif isinstance(node, ast.Call) and _is_mutator(node.func):
            changed |= _base_name(node.func)
    return changed


def _is_mutator(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and called.attr in _MUTATORS


def _base_name(node: ast.AST) -> set[str]:
    """{"a"} for ``a.b[0].c``, the empty set where no name stands at the bottom."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
