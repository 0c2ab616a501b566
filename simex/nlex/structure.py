"""Where the branches, loops and assignments of a source stand, by line number."""

import ast
import dataclasses
import functools
from collections.abc import Iterator

from simex.nlex.working import Working

_CACHED_SOURCES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class Structure:
    """What the tracer's line numbers mean in one source."""

    branch_bodies: dict[int, range]  # header line of an `if` -> lines of its body
    loop_bodies: dict[int, range]  # header line of a loop -> lines of its body
    assigned: dict[int, tuple[str, ...]]  # line -> names that it assigns when it runs
    workings: dict[int, Working]  # line -> what it works out
    loop_targets: dict[int, tuple[str, ...]]  # header line of a `for` -> its variables
    loop_headers: frozenset[int]
    in_loops: frozenset[int]  # lines of loops, headers too
    names: frozenset[str]  # every identifier that the source holds
    functions: frozenset[str]  # that the source defines


@functools.lru_cache(maxsize=_CACHED_SOURCES)
def read_structure(source: str) -> Structure:
    """The structure of `source`. Raises SyntaxError where it is no Python."""
    branch_bodies: dict[int, range] = {}
    loop_bodies: dict[int, range] = {}
    loop_targets: dict[int, tuple[str, ...]] = {}
    assigned: dict[int, tuple[str, ...]] = {}
    expressions: dict[int, ast.expr] = {}
    names: set[str] = set()
    functions: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.add(node.name)
        elif isinstance(node, ast.If) and node.body[0].lineno > node.lineno:
            branch_bodies[node.lineno] = _lines_of(node.body)
            expressions[node.lineno] = node.test
        elif isinstance(node, ast.For | ast.While | ast.AsyncFor):
            loop_bodies[node.lineno] = _lines_of(node.body)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.For):
            assigned[node.lineno] = tuple(_names_of(node))
        if isinstance(node, ast.For):
            loop_targets[node.lineno] = assigned[node.lineno]
        if isinstance(node, ast.Assign) and len(assigned[node.lineno]) == 1:
            expressions[node.lineno] = node.value
        elif isinstance(node, ast.AugAssign):
            target = ast.parse(ast.unparse(node.target), mode="eval").body
            expressions[node.lineno] = ast.BinOp(target, node.op, node.value)
    return Structure(
        branch_bodies=branch_bodies,
        loop_bodies=loop_bodies,
        assigned=assigned,
        workings={line: Working(e) for line, e in expressions.items()},
        loop_targets=loop_targets,
        loop_headers=frozenset(loop_bodies),
        in_loops=frozenset(loop_bodies).union(*loop_bodies.values()),
        names=frozenset(names | functions),
        functions=frozenset(functions),
    )


def _lines_of(body: list[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1)


def _names_of(node: ast.Assign | ast.AugAssign | ast.For) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        yield from (part.id for part in parts if isinstance(part, ast.Name))
