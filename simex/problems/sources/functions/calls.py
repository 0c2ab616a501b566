"""Calls to try for one function: from docstrings, and generated."""

import ast
import dataclasses
import doctest
import zlib

from simex.problems.sources.functions.module_code import ModuleCode
from simex.problems.sources.functions.parameters import Parameter


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateCall:
    """One expression and where its arguments come from."""

    call: str
    origin: str  # doctest | generated


def doctest_calls(module: ModuleCode) -> dict[str, list[str]]:
    """Every call in a doctest of the module, by the name of what is called.

    A name that an earlier line of the same docstring binds to a literal is replaced by
    it. The value that the author wrote is not read: the program is run instead.
    """
    found: dict[str, list[str]] = {}
    for text in module.docstrings:
        if ">>>" not in text:
            continue
        try:
            examples = doctest.DocTestParser().get_examples(text)
        except ValueError:  # not in the form of a doctest after all
            continue
        literals: dict[str, ast.expr] = {}
        for example in examples:
            expression = _expression_of(example.source, literals)
            if expression is not None:
                for name, call in _calls_in(expression, module.name, literals):
                    found.setdefault(name, []).append(call)
    return found


def _expression_of(source: str, literals: dict[str, ast.expr]) -> ast.expr | None:
    """The expression of an example; keeps in `literals` what it binds."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return None
    match body:
        case [ast.Assign(targets=[ast.Name(id=name)], value=value)]:
            literals.pop(name, None)
            if _is_literal(value):
                literals[name] = value
            return value
        case [ast.Expr(value=value)]:
            return value
    return None


def _calls_in(
    expression: ast.expr, module_name: str, literals: dict[str, ast.expr]
) -> list[tuple[str, str]]:
    """(entry, call) for each call of ``f``, ``module.f`` or ``Class.f``."""
    inlined = _Inline(module_name, literals).visit(expression)
    return [
        (ast.unparse(node.func), ast.unparse(node))
        for node in ast.walk(inlined)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
    ]


class _Inline(ast.NodeTransformer):
    """Puts known literals in the place of names, and ``f`` in that of ``module.f``."""

    def __init__(self, module_name: str, literals: dict[str, ast.expr]):
        self.heads = {module_name, module_name.rpartition(".")[2]}
        self.literals = literals

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.literals.get(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self.heads:
            return ast.Name(id=node.attr, ctx=ast.Load())
        return node


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True


def generated_calls(
    entry: str,
    parameters: list[Parameter],
    *,
    num_calls: int,
    shows_first_argument: bool = False,
) -> list[str]:
    """Calls that walk through the values of all parameters at different speeds.

    Round r passes the optional parameters only when r is odd, so that defaults are
    tried as well. Where a walk starts comes from a checksum of the names, so that not
    every function sees the same first value.

    Args:
        entry: What to call.
        parameters: In the order of the signature.
        num_calls: How many rounds; equal calls are kept once.
        shows_first_argument: The function changes its first argument and returns
            nothing; the expression is then ``(a := [2, 1], f(a))[0]``.
    """
    calls = []
    for round_ in range(num_calls):
        arguments = _arguments(entry, parameters, round_)
        if shows_first_argument and arguments and "=" not in arguments[0]:
            rest = ", ".join(["a", *arguments[1:]])
            calls.append(f"(a := {arguments[0]}, {entry}({rest}))[0]")
        else:
            calls.append(f"{entry}({', '.join(arguments)})")
    return list(dict.fromkeys(calls))


def _arguments(entry: str, parameters: list[Parameter], round_: int) -> list[str]:
    arguments = []
    skipped = False
    for rank, parameter in enumerate(parameters):
        if parameter.is_optional and round_ % 2 == 0:
            skipped = True
        elif parameter.is_starred:
            steps = range(0 if skipped else round_ % 3 + 1)
            arguments += [_value(entry, parameter, round_ + s, rank) for s in steps]
        else:
            value = _value(entry, parameter, round_, rank)
            by_name = parameter.is_keyword or skipped
            arguments.append(f"{parameter.name}={value}" if by_name else value)
    return arguments


def _value(entry: str, parameter: Parameter, round_: int, rank: int) -> str:
    if parameter.num_kinds:
        # The same kind for every unknown parameter of a round, another value of it.
        step = round_ + parameter.num_kinds * rank
    else:
        start = zlib.crc32(f"{entry}.{parameter.name}".encode()) % 4
        step = start + round_ + rank * (round_ // 3)
    return parameter.values[step % len(parameter.values)]
