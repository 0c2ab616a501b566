"""The functions of a module that can be called from outside, and their shape."""

import ast
import dataclasses
from collections.abc import Iterator

from simex.problems.sources.functions.module_code import ModuleCode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definition:
    """A function of a module, and how it is named and called."""

    node: ast.FunctionDef
    entry: str  # "f", or "Class.f" for a static or class method
    top_name: str  # the top-level name that the entry hangs on
    skip_first: bool  # the first parameter is `cls`


def find_definitions(module: ModuleCode) -> list[Definition]:
    """Top-level functions, static methods and class methods; the last of equal names."""
    found: dict[str, Definition] = {}
    for node in module.statements:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = Definition(
                node=node, entry=node.name, top_name=node.name, skip_first=False
            )
        elif isinstance(node, ast.ClassDef):
            found |= {d.entry: d for d in _static_methods(node)}
    return list(found.values())


def _static_methods(owner: ast.ClassDef) -> Iterator[Definition]:
    for node in owner.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        decorators = {ast.unparse(d) for d in node.decorator_list}
        if decorators in ({"staticmethod"}, {"classmethod"}):
            yield Definition(
                node=node,
                entry=f"{owner.name}.{node.name}",
                top_name=owner.name,
                skip_first=decorators == {"classmethod"},
            )


def is_generator(function: ast.FunctionDef) -> bool:
    """Does a call of the function give an iterator over what it yields?"""
    return any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _own_nodes(function))


def returns_nothing(function: ast.FunctionDef) -> bool:
    """Does every call that ends well return None?"""
    returns = [n.value for n in _own_nodes(function) if isinstance(n, ast.Return)]
    return not is_generator(function) and all(value is None for value in returns)


def is_trivial(function: ast.FunctionDef) -> bool:
    """No statement, or one that returns a name, a literal or an attribute of one."""
    match function.body:
        case [ast.Return(value=value)]:
            return isinstance(value, ast.Name | ast.Constant | ast.Attribute | None)
        case [ast.Pass() | ast.Raise() | ast.Expr(value=ast.Constant())] | []:
            return True
    return False


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """All nodes of a body but those of functions and classes inside it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
