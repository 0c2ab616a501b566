"""Which statements may stand in a program whose output depends on nothing outside."""

import ast
import builtins

from simex.problems.sources.functions.changes import changed_names


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE_MODULES = _words(
    """__future__ abc array base64 binascii bisect calendar cmath codecs collections
    collections.abc colorsys contextlib copy dataclasses datetime decimal difflib enum
    fnmatch fractions functools heapq html html.entities itertools json keyword math
    numbers operator posixpath re reprlib stat statistics string stringprep
    struct textwrap token types typing unicodedata urllib.parse warnings zlib"""
)
# Of these modules a program may read no more than what is named here.
PURE_PARTS = {
    "io": _words("BytesIO StringIO"),
    "os": _words("fspath"),
    "sys": _words("byteorder float_info intern maxsize maxunicode version_info"),
}
_IMPURE_BUILTINS = _words(
    """__doc__ __import__ __loader__ __name__ __spec__ breakpoint compile copyright
    credits eval exec exit globals hash help id input license locals memoryview open
    print quit vars"""
)
PURE_BUILTINS = frozenset(dir(builtins)) - _IMPURE_BUILTINS
_IMPURE_ATTRIBUTES = _words(
    """now today utcnow fromtimestamp localtime uuid1 uuid4 urandom __globals__
    __code__ __subclasses__ __builtins__ __import__"""
)
_ALLOWED_STATEMENTS = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Import,
    ast.ImportFrom,
    ast.For,
    ast.Expr,
)


def impurity(
    statement: ast.stmt, names_read: frozenset[str], partial_modules: dict[str, str]
) -> str | None:
    """Why a top-level statement may not stand in a program; None if it may.

    Args:
        statement: One top-level statement of a module.
        names_read: The module-level and builtin names that it reads.
        partial_modules: Names of the module that stand for a key of PURE_PARTS.
    """
    if not isinstance(statement, _ALLOWED_STATEMENTS):
        return "needs a top-level branch"
    if isinstance(statement, ast.Import):
        known = PURE_MODULES | PURE_PARTS.keys()
        is_pure = all(alias.name in known for alias in statement.names)
        return None if is_pure else "imports an impure module"
    for node in ast.walk(statement):
        reason = _node_impurity(node, partial_modules)
        if reason is not None:
            return reason
    is_code = isinstance(statement, ast.FunctionDef | ast.ClassDef)
    if is_code and changed_names(statement) & names_read:
        return "changes a global"
    return None


def partial_modules(statements: tuple[ast.stmt, ...]) -> dict[str, str]:
    """{"_os": "os"} for a module with ``import os as _os``: see PURE_PARTS."""
    return {
        alias.asname or alias.name: alias.name
        for statement in statements
        if isinstance(statement, ast.Import)
        for alias in statement.names
        if alias.name in PURE_PARTS
    }


def _node_impurity(node: ast.AST, partial: dict[str, str]) -> str | None:
    match node:
        case ast.Import(names=names):  # inside a function
            is_pure = all(alias.name in PURE_MODULES for alias in names)
            return None if is_pure else "imports an impure module"
        case ast.ImportFrom(module=module, level=level, names=names):
            is_pure = level == 0 and all(_is_pure_name(module, a.name) for a in names)
            return None if is_pure else "imports an impure module"
        case ast.Global():
            return "changes a global"
        case ast.Await() | ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith():
            return "is asynchronous"
        case ast.Attribute(attr=attr) if attr in _IMPURE_ATTRIBUTES:
            return "uses an impure attribute"
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in partial:
            is_pure = attr in PURE_PARTS[partial[name]]
            return None if is_pure else "imports an impure module"
    return None


def _is_pure_name(module: str | None, name: str) -> bool:
    if module in PURE_PARTS:
        return name in PURE_PARTS[module]
    return module in PURE_MODULES and name != "*"
