"""The page of a sweep: a table of its runs and a plot of each chosen estimate."""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from simex.core.files import write_atomically
from simex.report.content import Plot, Series
from simex.report.page import make_environment, page_style

Estimates = Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepRow:
    """A run: its values in the order of the page's keys, and what it found."""

    values: tuple[str, ...]
    state: str  # "done", "failed", ...
    secs: float
    estimates: Estimates  # {"prediction.rl": {"value", "low", "high", "n"}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepPage:
    """Everything on the page."""

    title: str
    keys: tuple[str, ...]  # the settings that change
    metrics: tuple[str, ...]  # the estimates that are shown
    rows: tuple[SweepRow, ...]


def write_sweep_page(out: pathlib.Path, page: SweepPage) -> None:
    """Writes the page to `out`, whole or not at all; the same page, the same bytes."""
    with write_atomically(out) as file:
        file.write(render_sweep_page(page))


def render_sweep_page(page: SweepPage) -> str:
    """The page's HTML: no network, no script."""
    template = make_environment("sweep.html.j2").get_template("sweep.html.j2")
    return template.render(
        page=page,
        style=Markup(page_style()),
        cells=[
            [as_text(row.estimates.get(name), name) for name in page.metrics]
            for row in page.rows
        ],
        plots=make_plots(page),
    )


def as_text(estimate: Mapping[str, float] | None, name: str) -> str:
    """ "52.5 [46.0, 58.6]" in percent, differences with a sign; a dash for none."""
    if estimate is None:
        return "–"
    form = "{:+.1f}" if name.startswith("gain.") else "{:.1f}"
    value, low, high = (
        form.format(100 * estimate[k]) for k in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]"


def make_plots(page: SweepPage) -> list[Plot]:
    """One plot for each metric, over the key that has most values.

    Runs that agree in all other keys are one line. The values of the key stand side by
    side in the order in which they were given, whatever their distance.
    """
    if not page.rows or not page.keys:
        return []
    values = [
        list(dict.fromkeys(row.values[i] for row in page.rows)) for i in _range(page)
    ]
    along = max(_range(page), key=lambda i: len(values[i]))
    # Keys of --zip move with it: they say nothing that its own value does not.
    others = [i for i in _range(page) if i != along and not _follows(page, i, along)]
    return [
        Plot(
            title=metric,
            x_label=page.keys[along],
            x_names=tuple(values[along]),
            is_share=True,
            series=tuple(_lines(page, metric, values[along], along, others)),
        )
        for metric in page.metrics
    ]


def _range(page: SweepPage) -> range:
    return range(len(page.keys))


def _follows(page: SweepPage, key: int, leader: int) -> bool:
    """Whether the value of `key` is decided by that of `leader`."""
    pairs = {(row.values[leader], row.values[key]) for row in page.rows}
    return len(pairs) == len({leading for leading, _ in pairs})


def _lines(
    page: SweepPage, metric: str, names: list[str], along: int, others: Sequence[int]
) -> list[Series]:
    def kind(row: SweepRow) -> tuple[str, ...]:
        return tuple(row.values[i] for i in others)

    measured = [row for row in page.rows if metric in row.estimates]
    lines = []
    for values, group in itertools.groupby(sorted(measured, key=kind), key=kind):
        rows = sorted(group, key=lambda row: names.index(row.values[along]))
        found = [row.estimates[metric] for row in rows]
        label = ", ".join(
            f"{page.keys[i]} = {value}" for i, value in zip(others, values, strict=True)
        )
        lines.append(
            Series(
                label=label or metric,
                x=tuple(names.index(row.values[along]) for row in rows),
                y=tuple(estimate["value"] for estimate in found),
                low=tuple(estimate["low"] for estimate in found),
                high=tuple(estimate["high"] for estimate in found),
            )
        )
    return lines
