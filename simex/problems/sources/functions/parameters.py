"""What a function's parameters may be, guessed from its text alone.

The evidence, strongest first: annotation, checks with `isinstance`, the default,
constants it is compared with, arithmetic, its name. A kind of value that lacks a method
which is called on the parameter is never tried.
"""

import ast
import dataclasses

from simex.problems.sources.functions.parameter_use import ParameterUse, observe_use
from simex.problems.sources.functions.value_pools import (
    GENERIC_KINDS,
    KINDS_OF_NAME,
    KINDS_OF_TYPE_NAME,
    POOLS,
    TYPES,
    VALUES_OF_NAME,
)

NUM_LIKELY = 8  # values of the likely kinds, before one of each other kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter and the values to try for it, as Python text, likely ones first.

    With `num_kinds` = K > 0 nothing is known: value r + K i is the i-th of kind r.
    """

    name: str
    values: tuple[str, ...]
    num_kinds: int = 0
    is_keyword: bool = False  # must be passed by name
    is_optional: bool = False
    is_starred: bool = False  # *args: any number of values


def guess_parameters(
    function: ast.FunctionDef, *, skip_first: bool = False
) -> list[Parameter] | None:
    """The parameters of a function in order; None if one needs a special object.

    Args:
        function: The definition.
        skip_first: Leave out `cls`.
    """
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * len(positional)
    defaults[len(positional) - len(arguments.defaults) :] = arguments.defaults
    rows = [(a, d, False) for a, d in zip(positional, defaults)][int(skip_first) :]
    rows += [(a, d, True) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    found = []
    for argument, default, is_keyword in rows:
        guess = _guess(argument, default, function)
        if guess is not None:
            found.append(dataclasses.replace(guess, is_keyword=is_keyword))
        elif default is None:
            return None
    if arguments.vararg is not None:
        guess = _guess(arguments.vararg, None, function)
        if guess is not None:
            found.append(dataclasses.replace(guess, is_starred=True))
    return found


def _guess(
    argument: ast.arg, default: ast.expr | None, function: ast.FunctionDef
) -> Parameter | None:
    use = observe_use(argument.arg, function)
    is_optional = default is not None
    kinds, is_certain = _kinds_for(argument, default, use)
    possible = kinds if is_certain else _possible_kinds(use)
    if not possible:
        return None
    if not kinds:
        generic = [k for k in GENERIC_KINDS if k in possible] or possible
        return Parameter(
            name=argument.arg,
            values=tuple(
                POOLS[k][i % len(POOLS[k])] for i in range(7) for k in generic
            ),
            num_kinds=len(generic),
            is_optional=is_optional,
        )
    likely = _likely_values(argument.arg, kinds, use)
    others = [POOLS[k][0] for k in GENERIC_KINDS if k in possible and k not in kinds]
    values = (
        likely if is_certain else likely[:NUM_LIKELY] + others + likely[NUM_LIKELY:]
    )
    return Parameter(
        name=argument.arg,
        values=tuple(dict.fromkeys(values)),
        is_optional=is_optional,
    )


def _likely_values(name: str, kinds: list[str], use: ParameterUse) -> list[str]:
    special = VALUES_OF_NAME.get(name, ())
    if not set(kinds) & set(_kinds_of_values(special)):
        special = ()
    mixed = [
        pool[rank]
        for rank in range(16)
        for pool in (POOLS[k] for k in kinds)
        if rank < len(pool)
    ]  # the first of each kind, then the second of each, ...
    return [*use.constants, *special, *mixed]


def _kinds_for(
    argument: ast.arg, default: ast.expr | None, use: ParameterUse
) -> tuple[list[str], bool]:
    """Likely kinds, and whether no other needs to be tried."""
    possible = _possible_kinds(use)
    if use.is_called and not use.attributes:
        return ["callable"], True
    certain = [
        _kinds_of_annotation(argument.annotation),
        [k for name in use.types for k in KINDS_OF_TYPE_NAME.get(name, ())],
        ["char"] if use.is_char else [],
        _kinds_of_default(default),
        _kinds_of_values(use.constants),
        ["int"] if use.is_whole_number else [],
    ]
    for kinds in certain:
        fitting = [k for k in kinds if k in possible or k == "callable"]
        if fitting:
            return list(dict.fromkeys(fitting)), True
    guesses = [
        ["int", "float"] if use.is_number else [],
        _kinds_of_name(argument.arg),
        ["list_int", "str", "list_str"] if use.is_iterated else [],
        possible if len(possible) <= 2 else [],
    ]
    for kinds in guesses:
        fitting = [k for k in kinds if k in possible or k == "callable"]
        if fitting:
            return list(dict.fromkeys(fitting)), False
    return [], False


def _possible_kinds(use: ParameterUse) -> list[str]:
    """Kinds whose values have every attribute that is read."""
    possible = [
        k for k, t in TYPES.items() if all(hasattr(t, a) for a in use.attributes)
    ]
    if len(use.text_types) == 1:
        other: type = bytes if str in use.text_types else str
        possible = [k for k in possible if TYPES[k] is not other]
    return possible


def _kinds_of_name(name: str) -> list[str]:
    """By the whole name, else by its last word, else by its first."""
    bare = name.rstrip("0123456789").strip("_").lower()
    words = bare.split("_")
    for key in (bare, words[-1], words[0]):
        if key in KINDS_OF_NAME:
            return list(KINDS_OF_NAME[key])
    return []


def _kinds_of_annotation(annotation: ast.expr | None) -> list[str]:
    if annotation is None:
        return []
    kinds: list[str] = []
    for node in ast.walk(annotation):
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        kinds += KINDS_OF_TYPE_NAME.get(name or "", ())
        if kinds and isinstance(annotation, ast.Subscript):
            break  # list[str]: the head decides
    return kinds


def _kinds_of_default(default: ast.expr | None) -> list[str]:
    if not isinstance(default, ast.Constant) or default.value is None:
        return []
    return _kinds_of_values((repr(default.value),))


def _kinds_of_values(texts: tuple[str, ...]) -> list[str]:
    types = {type(ast.literal_eval(text)) for text in texts}
    return [k for k, t in TYPES.items() if t in types and k != "char"]
