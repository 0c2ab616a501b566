"""The inputs of MBPP+ with the types that its tasks are about.

The file is JSON, which has no tuple, set or complex number: where a task is about them
its inputs stand as lists and texts. Which tasks these are, and how, is a fact of
evalplus's own reader (github.com/evalplus/evalplus, `evalplus/data/mbpp.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.problems.rows import BadRecord

Restore = Callable[[Sequence[Any]], Sequence[Any]]


def restore_inputs(number: int, inputs: Any) -> list[Sequence[Any]]:
    """The inputs of task `number`, each the arguments of one call.

    Example: of task 2 ``[[[3, 4], [5]]]`` becomes ``[[(3, 4), (5,)]]``.

    Raises:
        BadRecord: they are no lists of arguments, or not those of this task.
    """
    if not inputs:
        return []  # task 793 of the first version has {}
    if not isinstance(inputs, list) or not all(isinstance(i, list) for i in inputs):
        raise BadRecord("its inputs are no lists of arguments")
    try:
        return [_RESTORE.get(number, list)(arguments) for arguments in inputs]
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise BadRecord(f"its inputs are not those of Mbpp/{number}: {error}") from None


def _rows(argument: Sequence[Any]) -> list[Any]:
    return [tuple(row) for row in argument]


def _deep(value: Any) -> Any:
    return tuple(map(_deep, value)) if isinstance(value, list) else value


def _shallow(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _every(change: Callable[[Any], Any]) -> Restore:
    return lambda arguments: [change(argument) for argument in arguments]


def _only(place: int, change: Callable[[Any], Any]) -> Restore:
    def restore(arguments: Sequence[Any]) -> Sequence[Any]:
        changed = change(arguments[place])
        return [*arguments[:place], changed, *arguments[place + 1 :]]

    return restore


def _sets(argument: Sequence[Any]) -> list[Any]:
    """Evalplus has `{}`, a dict, for what is empty: task 115 is about empty dicts."""
    return [set(a) if isinstance(a, list) and a else {} for a in argument]


def _tuples_of(students: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(values) for name, values in students.items()}


def _number_and_complex(arguments: Sequence[Any]) -> list[Any]:
    return [float(arguments[0]), complex(arguments[1])]


_RESTORE: dict[int, Restore] = {
    **dict.fromkeys(
        (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596)
        + (616, 630, 726, 740, 744, 809),
        _every(tuple),
    ),
    **dict.fromkeys(
        (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780),
        _every(_rows),
    ),
    **dict.fromkeys((259, 401, 445), _every(lambda argument: tuple(_rows(argument)))),
    **dict.fromkeys((580, 615, 791), _every(_deep)),
    **dict.fromkeys((75, 413, 444, 753), _only(0, _rows)),
    **dict.fromkeys((250, 307, 405, 446, 617, 720, 763, 808), _only(0, tuple)),
    **dict.fromkeys((106, 750), _only(1, tuple)),
    115: _only(0, _sets),
    124: _number_and_complex,
    252: _only(0, complex),
    278: _only(0, lambda argument: tuple(map(_shallow, argument))),
    722: _only(0, _tuples_of),
}
