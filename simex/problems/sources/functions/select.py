"""Which of a function's calls are worth keeping."""

import itertools
from collections.abc import Iterable

from simex.core.prng import host_rng
from simex.problems.sources.functions.case import FunctionCase, SelectedCase
from simex.problems.sources.functions.probe import CallOutcome

_ORIGIN_RANK = {"doctest": 0, "generated": 1}
MAX_REPEATED = 2  # cases of a function that returns the same for all inputs


def select_cases(
    outcomes: Iterable[CallOutcome], per_function: int
) -> list[SelectedCase]:
    """At most `per_function` cases of each function, with what each one prints.

    Calls with values that no earlier call has shown come first, of these the ones that
    a person wrote, then the order of the candidates. A value that was shown before may
    fill a second place and no more. A function whose calls all return None is left
    out, and so is a call that should change its argument and does not.

    Args:
        outcomes: Outcomes of calls; those of one function stand together.
        per_function: How many cases of a function to keep, at least 1.

    Raises:
        ValueError: `per_function` is below 1.
    """
    if per_function < 1:
        raise ValueError(f"per_function must be at least 1; got {per_function}.")
    selected: list[SelectedCase] = []
    groups = itertools.groupby(outcomes, key=lambda o: (o.case.group, o.case.entry))
    for _, group in groups:
        selected += _best(group, per_function)
    return selected


def _best(group: Iterable[CallOutcome], per_function: int) -> list[SelectedCase]:
    values = [
        (outcome.case, outcome.value)
        for outcome in group
        if outcome.value is not None and not is_idle(outcome.case, outcome.value)
    ]
    if all(value == "None" for _, value in values):
        return []
    values.sort(key=lambda pair: _ORIGIN_RANK[pair[0].origin])  # stable
    seen: set[str] = set()
    fresh: list[tuple[FunctionCase, str]] = []
    repeated: list[tuple[FunctionCase, str]] = []
    for case, value in values:
        (repeated if value in seen else fresh).append((case, value))
        seen.add(value)
    kept = [*fresh, *repeated[: max(0, MAX_REPEATED - len(fresh))]]
    return [
        SelectedCase(case=case, stdout=f"{value}\n")
        for case, value in kept[:per_function]
    ]


def is_idle(case: FunctionCase, value: str) -> bool:
    """Does a call of the form ``(a := x, f(a))[0]`` leave x as it was?"""
    return case.call.startswith(f"(a := {value}, ")


def is_held_out(group: str, *, fraction: float, seed: int) -> bool:
    """Does a group belong to the test split?

    The answer depends on nothing but its arguments, so a group stays on its side when
    others come or go.
    """
    return bool(host_rng(seed, "held-out functions", group).random() < fraction)
