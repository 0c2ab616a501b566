"""A module as text: its statements, and which names each one provides and reads.

Nothing here imports or runs the module. A module is cut into its top-level
statements; a function then needs the statements that provide the names it reads, and
those that provide what these read, and so on (`slices`).
"""

import ast
import dataclasses
import pathlib
import re
import symtable
import warnings
from collections.abc import Iterator

from simex.problems.sources.functions.changes import changed_names

_FUNCTION = re.compile(r"^def |@staticmethod|@classmethod", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModuleCode:
    """A parsed module without its docstrings."""

    name: str  # dotted
    path: str  # below the root, with forward slashes
    statements: tuple[ast.stmt, ...]  # an import of many names counts as many
    providers: dict[str, tuple[int, ...]]  # name -> statements that bind or change it
    docstrings: tuple[str, ...]
    tables: dict[tuple[str, int], symtable.SymbolTable]  # (name, line) of a def

    def names_read(self, index: int) -> frozenset[str]:
        """Module-level and builtin names that a statement reads."""
        return frozenset(_names_read(self.statements[index], self.tables))


def parse_module(path: pathlib.Path, root: pathlib.Path) -> ModuleCode | None:
    """Parses a file below `root`; None if this interpreter cannot read it as Python."""
    try:
        text = path.read_text("utf-8")
        if not _FUNCTION.search(text):
            text = ""  # nothing to harvest: parsing it would be time lost
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's strings
            tree = ast.parse(text)
            table = symtable.symtable(text, path.name, "exec")
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    relative = path.relative_to(root)
    docstrings = tuple(_cut_docstrings(tree))
    statements = tuple(part for s in tree.body for part in _single_imports(s))
    parts = list(relative.with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ModuleCode(
        name=".".join(parts),
        path=relative.as_posix(),
        statements=statements,
        providers=_providers(statements),
        docstrings=docstrings,
        tables={(t.get_name(), t.get_lineno()): t for t in table.get_children()},
    )


def _cut_docstrings(node: ast.Module | ast.stmt) -> Iterator[str]:
    """Removes the docstrings of a tree of statements and yields their texts."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        text = ast.get_docstring(node, clean=True)
        if text is not None:
            yield text
            node.body = node.body[1:]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
    for field in ("body", "orelse", "finalbody"):
        for child in getattr(node, field, []):
            yield from _cut_docstrings(child)


def _single_imports(statement: ast.stmt) -> list[ast.stmt]:
    """``import a, b`` as two statements, so that a program takes only what it needs."""
    match statement:
        case ast.Import(names=names):
            return [ast.Import(names=[alias]) for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            return [
                ast.ImportFrom(module=module, names=[alias], level=level)
                for alias in names
            ]
    return [statement]


def _providers(statements: tuple[ast.stmt, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for index, statement in enumerate(statements):
        if _is_accelerator_import(statement) or isinstance(statement, ast.Delete):
            continue  # C code in the place of the Python text; tidying up at the end
        for name in _names_provided(statement):
            found.setdefault(name, []).append(index)
    return {name: tuple(indices) for name, indices in found.items()}


def _is_accelerator_import(statement: ast.stmt) -> bool:
    """``try: from _bisect import * ...`` and the like."""
    return isinstance(statement, ast.Try) and all(
        isinstance(s, ast.ImportFrom) and (s.module or "").startswith("_")
        for s in statement.body
    )


def _names_provided(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {statement.name}
    names = changed_names(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)  # below an `if` or a `try`
    return names


def _names_read(
    statement: ast.stmt, tables: dict[tuple[str, int], symtable.SymbolTable]
) -> set[str]:
    if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return _loaded(statement)
    table = tables.get((statement.name, statement.lineno))
    names = _loaded(statement) if table is None else _free_names(table)
    heads: list[ast.AST] = [*statement.decorator_list]
    if isinstance(statement, ast.ClassDef):
        heads += [*statement.bases, *statement.keywords]
    else:
        heads += [statement.args, *([statement.returns] if statement.returns else [])]
    for head in heads:
        names |= _loaded(head)
    return names


def _loaded(node: ast.AST) -> set[str]:
    return {
        n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }


def _free_names(table: symtable.SymbolTable) -> set[str]:
    names = {s.get_name() for s in table.get_symbols() if s.is_global()}
    for child in table.get_children():
        names |= _free_names(child)
    return names
