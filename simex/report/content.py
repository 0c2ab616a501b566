"""What a report page shows, as plain data."""

import dataclasses
import math
from collections.abc import Mapping

from simex.report.headlines import HEADLINES, Group


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a plot. Points whose y is NaN are gaps."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()  # the interval's bounds at each x, or none
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y), *map(len, filter(None, self._bounds))}
        if len(lengths) > 1 or bool(self.low) != bool(self.high):
            raise ValueError(
                f"Series {self.label!r} needs x, y and both bounds (or neither) of one "
                f"length; got {len(self.x)}, {len(self.y)}, {len(self.low)} and "
                f"{len(self.high)}."
            )

    @property
    def _bounds(self) -> tuple[tuple[float, ...], ...]:
        return self.low, self.high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """A small plot with its title in words. Up to seven series tell apart by colour."""

    title: str
    series: tuple[Series, ...]
    x_label: str = "step"
    x_names: tuple[str, ...] = ()  # what x = 0, 1, ... stand for, if not for numbers
    is_of_kinds: bool = False  # no line leads from one x to the next
    note: str = ""  # a sentence under the title
    is_share: bool = False  # y is a share in 0..1 and is shown in percent

    @property
    def has_points(self) -> bool:
        return any(math.isfinite(y) for series in self.series for y in series.y)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixMatrix:
    """Solutions counted by the judge before and after self-fixing."""

    right_right: int
    right_wrong: int  # broken
    wrong_right: int  # fixed
    wrong_wrong: int

    @property
    def total(self) -> int:
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Price:
    """A share of solved problems beside what it costs a problem, all means."""

    method: str  # such as "best@8 simulate"
    estimate: Mapping[str, float]  # as in `Report.results`
    samples: float  # completions of the solver
    predictions: float  # of a test's output, by the verifier
    executions: float  # of public tests, before anything is submitted
    submissions: float  # programs that the hidden tests judge


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """Another page of the run: a path relative to the report, and what it shows."""

    path: str
    text: str

    def __post_init__(self) -> None:
        """Raises ValueError for what would leave the folder of the report."""
        parts = self.path.split("/")
        if ":" in self.path or self.path.startswith("/") or ".." in parts:
            raise ValueError(
                f"A link of a report must be a path below it; got {self.path!r}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One prediction to read. Empty texts are left out."""

    title: str  # such as the problem's id
    label: str = ""  # such as "wrong program, RL"
    problem: str = ""
    program: str = ""
    stdin: str = ""
    explanation: str = ""
    prediction: str = ""
    truth: str = ""
    is_right: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Everything on the page. Sections without content say so in a sentence."""

    title: str
    about: str = ""  # the header text of the experiment file
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Seed, device, sandbox backend, machine… as they are to be printed."""
    warnings: tuple[str, ...] = ()  # what a reader must know, such as a weaker jail
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Wall seconds of each stage, in the order in which they ran."""
    results: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """``{"prediction.rl": {"value", "low", "high", "n", ...}}``; see `report.results`."""
    groups: tuple[Group, ...] = HEADLINES
    """The tables of `results`; what no group names comes last."""
    sft_curves: tuple[Plot, ...] = ()
    rl_curves: tuple[Plot, ...] = ()
    best_at_k: Plot | None = None
    prices: tuple[Price, ...] = ()
    loops: Plot | None = None  # solved by turn of self-RLEF
    analysis: tuple[Plot, ...] = ()  # what goes wrong where
    fix_matrix: FixMatrix | None = None
    samples: tuple[Sample, ...] = ()
    links: tuple[Link, ...] = ()  # such as the rollouts of a train step
    settings: str = ""  # the operative gin configuration
