"""The grammar of the curriculum: what a generated problem asks, as data.

A problem takes integers from a *feed*, perhaps *arranges* them, passes each through up
to two *steps* (a filter or a map) and folds what is left with a *reducer*. The same
spec yields the statement (`statement.py`) and the program (`program.py`).
"""

import dataclasses
from collections.abc import Mapping

from simex.core.errors import UserError

FEEDS: Mapping[str, str] = {
    "list": "a line of integers",
    "digits": "the digits of an integer, last digit first",
    "range": "the integers from 1 to n",
}

ARRANGEMENTS: Mapping[str, str] = {
    "none": "a",
    "sort": "sorted(a)",
    "reverse": "a[::-1]",
    "tail": "a[1:]",
    "head": "a[:3]",
    "alternate": "a[::2]",
}

# Filters: a condition on {v}; {c} is a constant.
FILTERS: Mapping[str, str] = {
    "even": "{v} % 2 == 0",
    "odd": "{v} % 2 == 1",
    "above": "{v} > {c}",
    "below": "{v} < {c}",
    "differs": "{v} != {c}",
    "thirds": "{v} % 3 == 0",
}

# Maps: an expression in {v}; {c} is a constant.
MAPS: Mapping[str, str] = {
    "add": "{v} + {c}",
    "times": "{v} * {c}",
    "modulo": "{v} % {c}",
    "halve": "{v} // 2",
    "distance": "abs({v} - {c})",
}

# Reducers: start value, update line(s) with {v}, what is printed.
REDUCERS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "sum": ("t = 0", ("t += {v}",), "t"),
    "count": ("t = 0", ("t += 1",), "t"),
    "max": ("t = 0", ("if {v} > t:", "    t = {v}"), "t"),
    "min": ("t = 99", ("if {v} < t:", "    t = {v}"), "t"),
    "last": ("t = 0", ("t = {v}",), "t"),
    "swing": ("t = 0", ("t = {v} - t",), "t"),
    "collect": ("b = []", ("b.append({v})",), "*b"),
}

# The constants that a step may take. A map's stay small, so that values stay short.
CONSTANTS: Mapping[str, tuple[int, ...]] = {
    "above": (2, 3, 4, 5),
    "below": (5, 6, 7),
    "differs": (2, 3, 4, 5),
    "add": (1, 2, 3),
    "times": (2,),
    "modulo": (3, 4),
    "distance": (4, 5),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grammar:
    """Which operations are drawn. The default is all of them.

    Every name must stand in its table above; a smaller grammar is an easier curriculum.
    """

    feeds: tuple[str, ...] = tuple(FEEDS)
    arrangements: tuple[str, ...] = tuple(ARRANGEMENTS)
    filters: tuple[str, ...] = tuple(FILTERS)
    maps: tuple[str, ...] = tuple(MAPS)
    reducers: tuple[str, ...] = tuple(REDUCERS)
    styles: tuple[str, ...] = ("nested", "guarded")  # see program.render_program
    max_steps: int = 2
    """The most filters and maps of a problem; it has at least one."""

    def __post_init__(self):
        tables = {
            "feeds": FEEDS,
            "arrangements": ARRANGEMENTS,
            "filters": FILTERS,
            "maps": MAPS,
            "reducers": REDUCERS,
        }
        for field, table in tables.items():
            chosen = getattr(self, field)
            if not chosen or not set(chosen) <= set(table):
                raise UserError(
                    f"Grammar.{field} must name some of {', '.join(table)}; got "
                    f"{', '.join(chosen) or 'none'}."
                )
        most = min(len(self.filters) + len(self.maps), 3)
        if not 1 <= self.max_steps <= most:
            raise UserError(
                f"Grammar.max_steps must lie between 1 and {most}; got "
                f"{self.max_steps}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One filter or map, with its constant where it takes one."""

    name: str
    constant: int | None = None

    @property
    def is_filter(self) -> bool:
        return self.name in FILTERS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """What a problem asks.

    Example: ``Spec(feed="list", arrangement="sort", steps=(Step(name="even"),
    Step(name="add", constant=3)), reducer="sum")`` sorts the numbers, keeps the even
    ones, adds 3 to each and prints the sum.
    """

    feed: str
    arrangement: str
    steps: tuple[Step, ...]
    reducer: str

    @property
    def composition(self) -> str:
        """The operations without their constants: the unit of the split."""
        steps = "+".join(step.name for step in self.steps) or "none"
        return f"{self.feed}/{self.arrangement}/{steps}/{self.reducer}"
