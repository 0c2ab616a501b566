"""Plots: the same bytes for the same data, colours from the page, nothing external."""

import math
import re
import xml.etree.ElementTree

import pytest

from simex.report.content import Plot, Series
from simex.report.plots import MAX_POINTS, render_svg, thinned


def make_plot(**changes):
    line = Series(label="a", x=(0, 1, 2), y=(0.1, 0.5, 0.2))
    return Plot(**{"title": "t", "series": (line,)} | changes)


def test_the_same_plot_gives_the_same_bytes():
    assert render_svg(make_plot()) == render_svg(make_plot())


def test_colours_come_from_the_page():
    many = tuple(Series(label=str(i), x=(0, 1), y=(i, i + 1)) for i in range(9))
    svg = render_svg(make_plot(series=many))
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
    assert "currentColor" in svg and "var(--grid)" in svg
    assert {f"--series-{i}" for i in range(1, 8)} <= set(
        re.findall(r"--series-\d", svg)
    )


def test_a_plot_refers_to_nothing_outside_and_parses_as_xml():
    svg = render_svg(make_plot(title='<b>&"quotes"', x_label="$x_1$ <script>"))
    assert "http" not in svg and "<script" not in svg
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.get("aria-label") == '<b>&"quotes"'
    assert "width" not in root.attrib  # the page decides the size
    assert any("$x_1$ <script>" in (e.text or "") for e in root.iter("text"))


def test_shares_are_labelled_in_percent():
    assert "50 %" in render_svg(make_plot(is_share=True))


def test_kinds_have_a_bar_each_and_no_line_between_them():
    line = Series(label="a", x=(0, 1), y=(0.4, 0.6), low=(0.3, 0.5), high=(0.5, 0.7))
    names = {"x_names": ("right", "wrong"), "is_of_kinds": True}
    kinds = render_svg(make_plot(series=(line,), **names))
    assert kinds.count("stroke-opacity: 0.4") == 2
    assert "fill-opacity: 0.14" not in kinds
    two = render_svg(make_plot(series=(line, line), **names))
    assert two.count("stroke-opacity: 0.4") == 4
    bars = set(re.findall(r'<path d="M ([\d.]+) [\d.]+ \s*L \1 ', two))
    assert len(bars) >= 4  # side by side, not one over the other
    sizes = render_svg(make_plot(series=(line,), x_names=("1e-3", "1e-4")))
    assert "stroke-opacity: 0.4" not in sizes and "fill-opacity: 0.14" in sizes
    one = Series(label="a", x=(0,), y=(0.4,), low=(0.3,), high=(0.5,))
    alone = render_svg(make_plot(series=(one,), x_names=("no",), is_of_kinds=True))
    assert alone.count("stroke-opacity: 0.4") == 1


@pytest.mark.parametrize(
    "series",
    [
        (),
        (Series(label="none", x=(), y=()),),
        (Series(label="one", x=(3,), y=(1.0,)),),
        (Series(label="gaps", x=(1, 2, 3), y=(1.0, math.nan, math.inf)),),
        (Series(label="flat", x=(1, 2), y=(0.0, 0.0), low=(0, 0), high=(0, 0)),),
    ],
)
def test_poor_data_still_give_a_plot(series):
    assert render_svg(make_plot(series=series)).startswith("<svg")


def test_only_finite_points_count_as_points():
    gaps = Series(label="gaps", x=(1, 2), y=(math.nan, math.inf))
    assert not make_plot(series=(gaps,)).has_points
    assert make_plot(series=(gaps, Series(label="b", x=(1,), y=(0,)))).has_points


def test_long_lines_are_averaged_to_fewer_points():
    num = 4 * MAX_POINTS
    line = Series(label="a", x=tuple(range(num)), y=tuple(i % 2 for i in range(num)))
    thin = thinned(line)
    assert len(thin.x) == MAX_POINTS
    assert thin.y == (0.5,) * MAX_POINTS  # each of four points: two ones
    assert thin.x[:2] == (1.5, 5.5)  # means of 0..3 and of 4..7


def test_a_series_of_unequal_lengths_is_refused_by_name():
    with pytest.raises(ValueError, match="'a'.*got 2, 1, 0 and 0"):
        Series(label="a", x=(1, 2), y=(1,))
    with pytest.raises(ValueError, match="both bounds"):
        Series(label="a", x=(1,), y=(1,), low=(0,))
