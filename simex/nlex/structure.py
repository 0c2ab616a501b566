"""Where the branches, loops and assignments of a source stand, by line number."""

import ast
import dataclasses
import functools
from collections.abc import Iterator

from simex.nlex.working import Working

_CACHED_SOURCES = 4096
# What stands in a block of a compound statement, and is no part of its header.
_BLOCK = ast.stmt | ast.ExceptHandler | ast.match_case
_SUSPENDING = ast.Yield | ast.YieldFrom | ast.Await | ast.AsyncFor | ast.AsyncWith


@dataclasses.dataclass(frozen=True, kw_only=True)
class Structure:
    """What the tracer's line numbers mean in one source.

    A statement, or the header of one that has a body, is known by its first line.
    Where several share a line nobody can tell which of them ran: such lines branch,
    assign and work out nothing here.
    """

    first_lines: dict[int, int]  # further line of a statement -> its first line
    branch_bodies: dict[int, range]  # header line of an `if` -> lines of its body
    loop_bodies: dict[int, range]  # header line of a loop -> lines of its body
    assigned: dict[int, tuple[str, ...]]  # line -> names that it assigns when it runs
    workings: dict[int, Working]  # line -> what it works out
    loop_headers: frozenset[int]
    counted_loops: frozenset[int]
    """Header lines of the loops of which a trace shows how often they turn: not those
    with a body on a line of the header, nor those that are left and entered again in
    the middle of a turn, at a ``yield`` or ``await``."""
    undecided: frozenset[int]
    """Lines after which the end of a frame tells nothing: it may be left and entered
    again there, or the body of an `if` runs without a line of its own."""
    in_loops: frozenset[int]  # lines of loops, headers too
    names: frozenset[str]  # every identifier that the source holds
    functions: frozenset[str]  # that the source defines


@functools.lru_cache(maxsize=_CACHED_SOURCES)
def read_structure(source: str) -> Structure:
    """The structure of `source`. Raises SyntaxError where it is no Python."""
    branch_bodies: dict[int, range] = {}
    loop_bodies: dict[int, range] = {}
    assigned: dict[int, tuple[str, ...]] = {}
    expressions: dict[int, ast.expr] = {}
    names: set[str] = set()
    functions: set[str] = set()
    suspending: set[int] = set()
    silent: set[int] = set()
    spans: list[tuple[int, int]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _BLOCK):
            spans.append(_span_of(node))
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.add(node.name)
        elif isinstance(node, ast.If):
            if all(map(_is_silent, node.body)):
                silent.add(node.lineno)
            branch_bodies[node.lineno] = _lines_of(node.body)
            expressions[node.lineno] = node.test
        elif isinstance(node, ast.For | ast.While | ast.AsyncFor):
            loop_bodies[node.lineno] = _lines_of(node.body)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.For):
            assigned[node.lineno] = tuple(_names_of(node))
        if isinstance(node, ast.Assign):
            # In ``a = b[0] = x + 1`` not all that changes is what is worked out.
            if len(node.targets) == 1 and len(assigned[node.lineno]) == 1:
                expressions[node.lineno] = node.value
        elif isinstance(node, ast.AugAssign):
            target = ast.parse(ast.unparse(node.target), mode="eval").body
            expressions[node.lineno] = ast.BinOp(target, node.op, node.value)
        if isinstance(node, _SUSPENDING):
            suspending.add(node.lineno)
    first_lines, crowded = _group(spans)
    for found in (branch_bodies, assigned, expressions):
        for line in [n for n in found if first_lines.get(n, n) in crowded]:
            del found[line]
    return Structure(
        first_lines=first_lines,
        branch_bodies=branch_bodies,
        loop_bodies=loop_bodies,
        assigned=assigned,
        workings={line: Working(e) for line, e in expressions.items()},
        loop_headers=frozenset(loop_bodies),
        counted_loops=frozenset(
            line
            for line, body in loop_bodies.items()
            if line not in crowded and suspending.isdisjoint(range(line, body.stop))
        ),
        undecided=frozenset(first_lines.get(n, n) for n in suspending | silent),
        in_loops=frozenset(loop_bodies).union(*loop_bodies.values()),
        names=frozenset(names | functions),
        functions=frozenset(functions),
    )


def _is_silent(statement: ast.stmt) -> bool:
    """Whether nothing of it is executed."""
    is_declared = isinstance(statement, ast.AnnAssign) and statement.value is None
    return is_declared or isinstance(statement, ast.Global | ast.Nonlocal)


def _lines_of(body: list[ast.stmt]) -> range:
    return range(_span_of(body[0])[0], (body[-1].end_lineno or body[-1].lineno) + 1)


def _span_of(node: _BLOCK) -> tuple[int, int]:
    """The first and the last line of a statement, or of its header if it has a body."""
    line = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
    first = min([line, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    if not hasattr(node, "body") and not hasattr(node, "cases"):
        return first, _last_line(node)
    parts = (n for n in ast.iter_child_nodes(node) if not isinstance(n, _BLOCK))
    return first, max([line, *map(_last_line, parts)])


def _last_line(node: ast.AST) -> int:
    end = getattr(node, "end_lineno", None)
    if end is not None:
        return end
    return max(map(_last_line, ast.iter_child_nodes(node)), default=0)


def _group(spans: list[tuple[int, int]]) -> tuple[dict[int, int], set[int]]:
    """Joins what shares a line.

    Returns the first line of each further line, and the first lines that more than one
    statement stands behind.
    """
    first_lines: dict[int, int] = {}
    crowded: set[int] = set()
    first, last = 0, 0
    for start, end in sorted(spans):
        if start > last:
            first = last = start
        else:
            crowded.add(first)
        first_lines.update(dict.fromkeys(range(last + 1, end + 1), first))
        last = max(last, end)
    return first_lines, crowded


def _names_of(node: ast.Assign | ast.AugAssign | ast.For) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        yield from (part.id for part in parts if isinstance(part, ast.Name))
