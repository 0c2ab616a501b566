"""An expression with the values of its variables: how a value was worked out."""

import ast
from collections.abc import Mapping

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


def render_working(expression: ast.expr | None, values: Mapping[str, str]) -> str:
    """`expression` as Python text with its variables replaced; "" if not simple.

    Example: ``t + x`` with t = 3 and x = 4 gives "3 + 4". A lone variable or constant
    gives "", since the value says the same.
    """
    if expression is None or isinstance(expression, ast.Name | ast.Constant):
        return ""
    if not all(isinstance(node, _SHOWN) for node in ast.walk(expression)):
        return ""
    replacer = _Replacer(values)
    # Unparsed and parsed: the source tree is shared and must stay as it is.
    copy = ast.parse(ast.unparse(expression), mode="eval").body
    shown = ast.unparse(replacer.visit(copy))
    return "" if replacer.has_failed else shown


class _Replacer(ast.NodeTransformer):
    """Puts values in the place of names, and notes what it cannot replace."""

    def __init__(self, values: Mapping[str, str]):
        self._values = values
        self.has_failed = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        is_plain = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        if not is_plain or node.keywords:
            self.has_failed = True
            return node
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        text = self._values.get(node.id, "")
        if not text or len(text) > _MAX_VALUE_CHARS or "…" in text:
            self.has_failed = True
            return node
        try:
            return ast.parse(text, mode="eval").body
        except SyntaxError:  # an object such as <P x=1>
            self.has_failed = True
            return node
