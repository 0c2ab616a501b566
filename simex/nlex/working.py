"""An expression with the values of its variables: how a value was worked out."""

import ast
import functools
import re
from collections.abc import Mapping, Sequence

# Shown are operations on short values; anything else is told by its result alone.
_SHOWN = (
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Name,
    ast.Constant,
    ast.Call,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
)
_FUNCTIONS = frozenset({"abs", "min", "max"})
_MAX_VALUE_CHARS = 12
_CACHED_WORKINGS = 65_536
_MARK = re.compile(r"simex_mark_(\d+)_")


class Working:
    """One expression of a source, ready to be shown with values.

    Example: ``t + x`` with t = 3 and x = 4 gives "3 + 4". A lone variable or constant
    gives "", since the value says the same.
    """

    def __init__(self, expression: ast.expr):
        self.source = ast.unparse(expression)
        self.names: tuple[str, ...] = ()
        self._parts: tuple[str, ...] = ()
        self._order: tuple[int, ...] = ()  # of the names, as the text needs them
        self.is_shown = _is_shown(expression)
        if self.is_shown:
            self._compile()

    def render(self, values: Mapping[str, str]) -> str:
        """The expression with `values` in the place of names; "" if not simple."""
        if not self.is_shown:
            return ""
        texts = [values.get(name, "") for name in self.names]
        if not all(0 < len(text) <= _MAX_VALUE_CHARS for text in texts):
            return ""
        # What is one digit string needs no parentheses, whatever stands around it.
        if all(map(str.isdigit, texts)):
            filled = [texts[i] for i in self._order]
            filled.append("")
            return "".join(a + b for a, b in zip(self._parts, filled))
        return _replace(self.source, self.names, tuple(texts))

    def _compile(self) -> None:
        tree = ast.parse(self.source, mode="eval").body
        marker = _Replacer(None)
        text = ast.unparse(marker.visit(tree))
        pieces = _MARK.split(text)
        self.names = tuple(marker.names)
        self._parts = tuple(pieces[::2])
        self._order = tuple(int(number) for number in pieces[1::2])


def _is_shown(expression: ast.expr) -> bool:
    if isinstance(expression, ast.Name | ast.Constant):
        return False
    for node in ast.walk(expression):
        if not isinstance(node, _SHOWN):
            return False
        if isinstance(node, ast.Call):
            is_plain = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
            if not is_plain or node.keywords:
                return False
    return True


@functools.lru_cache(maxsize=_CACHED_WORKINGS)
def _replace(source: str, names: Sequence[str], texts: Sequence[str]) -> str:
    trees: dict[str, ast.expr] = {}
    for name, text in zip(names, texts, strict=True):
        if "…" in text:
            return ""
        try:
            trees[name] = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError):  # an object such as <P x=1>
            return ""
    tree = ast.parse(source, mode="eval").body
    return ast.unparse(_Replacer(trees).visit(tree))


class _Replacer(ast.NodeTransformer):
    """Puts values in the place of names or, without values, marks to find them by."""

    def __init__(self, trees: Mapping[str, ast.expr] | None):
        self._trees = trees
        self.names: list[str] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self._trees is not None:
            return self._trees[node.id]
        if node.id not in self.names:
            self.names.append(node.id)
        return ast.Name(f"simex_mark_{self.names.index(node.id)}_", ast.Load())
