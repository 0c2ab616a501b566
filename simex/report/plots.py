"""Plots as inline SVG that takes its colours from the page.

matplotlib draws with stand-in colours, which are then replaced by CSS variables, so one
drawing reads well on a light and on a dark page. The same data give the same bytes.
Titles and legends are left to the page, where they wrap.
"""

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simex.report.content import Plot, Series

NUM_COLOURS = 7
MAX_POINTS = 300  # of a line; more would not be seen, and make the page heavy
_INK, _GRID = "#0a0b0c", "#0d0e0f"
_COLOURS = tuple(f"#{i:02x}fe0{i}" for i in range(1, NUM_COLOURS + 1))
_REPLACED = {
    _INK: "currentColor",
    _GRID: "var(--grid)",
    **{c: f"var(--series-{i})" for i, c in enumerate(_COLOURS, start=1)},
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable, in the page's font
    "svg.hashsalt": "simex",  # ids would otherwise differ from run to run
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.5,
}


def render_svg(
    plot: Plot, *, width_inches: float = 4.6, height_inches: float = 2.7
) -> str:
    """The plot as one `<svg>` element, without sizes, fonts or colours of its own."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        axes = figure.add_subplot()
        places = np.linspace(-0.2, 0.2, len(plot.series)) if plot.series[1:] else [0.0]
        for colour, series, aside in zip(_cycle(len(plot.series)), plot.series, places):
            if plot.is_of_kinds:
                _draw_kinds(axes, series, colour=colour, aside=float(aside))
            else:
                _draw(axes, series, colour=colour)
        _dress(axes, plot)
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return _inline(file.getvalue(), label=plot.title)


def colour_of(index: int) -> str:
    """The CSS colour of the series at `index`, for a legend in the page."""
    return f"var(--series-{index % NUM_COLOURS + 1})"


def thinned(series: Series) -> Series:
    """The same line with at most `MAX_POINTS` points, each the mean of a stretch."""
    if len(series.x) <= MAX_POINTS:
        return series
    parts = np.array_split(np.arange(len(series.x)), MAX_POINTS)
    columns = (series.x, series.y, series.low, series.high)
    x, y, low, high = (
        tuple(float(np.mean(np.asarray(c)[p])) for p in parts) if c else ()
        for c in columns
    )
    return Series(label=series.label, x=x, y=y, low=low, high=high)


def _cycle(num: int) -> Sequence[str]:
    return [_COLOURS[i % NUM_COLOURS] for i in range(num)]


def _draw_kinds(axes: Axes, series: Series, *, colour: str, aside: float) -> None:
    """Points with bars; several series stand side by side."""
    x = np.asarray(series.x, dtype=np.float64) + aside
    y = np.asarray(series.y, dtype=np.float64)
    y[~np.isfinite(y)] = np.nan
    axes.plot(x, y, color=colour, marker="o", markersize=4, linestyle="")
    if series.low:
        axes.vlines(x, series.low, series.high, color=colour, alpha=0.4)


def _draw(axes: Axes, series: Series, *, colour: str) -> None:
    series = thinned(series)
    y = np.asarray(series.y, dtype=np.float64)
    y[~np.isfinite(y)] = np.nan  # a gap; an infinity would have no place on the axis
    is_sparse = len(series.x) <= 12
    axes.plot(series.x, y, color=colour, marker="o" if is_sparse else "", markersize=3)
    if series.low:
        axes.fill_between(
            series.x, series.low, series.high, color=colour, alpha=0.14, linewidth=0
        )


def _dress(axes: Axes, plot: Plot) -> None:
    axes.set_xlabel(plot.x_label, parse_math=False)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    xs = [x for s in plot.series for x in s.x if math.isfinite(x)]
    if plot.x_names:
        axes.set_xticks(range(len(plot.x_names)), plot.x_names, parse_math=False)
        axes.set_xlim(-0.4, len(plot.x_names) - 0.6)
    elif all(x == int(x) for x in xs):
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    if plot.is_share:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.tick_params(length=3)


def _percent(share: float, _: int | None) -> str:
    return f"{round(100 * share, 6):g} %"


def _inline(svg: str, *, label: str) -> str:
    """Keeps the element; drops what belongs to a file of its own, and fixed sizes."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (xmlns(:xlink)?|version|width|height)="[^"]*"', "", svg, count=5)
    svg = re.sub(r"<defs>\s*<style.*?</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    # Group ids repeat from plot to plot; nothing refers to them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("xlink:href", "href")
    for stand_in, colour in _REPLACED.items():
        svg = svg.replace(stand_in, colour)
    return svg.replace("<svg", f'<svg role="img" aria-label="{_attribute(label)}"', 1)


def _attribute(text: str) -> str:
    for character, entity in (("&", "&amp;"), ('"', "&quot;"), ("<", "&lt;")):
        text = text.replace(character, entity)
    return text
