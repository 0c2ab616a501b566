"""One HTML page for a run: opens from a disk, needs no network, no server, no script.

Everything on it that a model or a dataset wrote is untrusted text. It is escaped, and a
content security policy forbids scripts and requests should an escape ever be missing.
"""

import dataclasses
import functools
import importlib.resources
import pathlib
from collections.abc import Mapping

import jinja2
from markupsafe import Markup

from simex.core.files import write_atomically
from simex.core.progress import format_secs
from simex.report import headlines
from simex.report.content import Plot, Report
from simex.report.plots import colour_of, render_svg
from simex.report.printable import printable
from simex.rollouts.program import clipped

MAX_CHARS = 6000  # of one text of a sample; the rest is counted, not shown


def write_report(out: pathlib.Path, report: Report) -> None:
    """Writes the page to the file `out`, whole or not at all.

    The same report gives the same bytes. Raises UserError when the disk is full.
    """
    with write_atomically(out) as file:
        file.write(render_page(report))


def render_page(report: Report) -> str:
    """The page's HTML."""
    template = make_environment("page.html.j2").get_template("page.html.j2")
    return template.render(
        report=report,
        style=Markup(page_style()),
        tables=list(headlines.tables(report.results, report.groups)),
        self_rlef=headlines.SELF_RLEF,
        self_rlef_rows=headlines.rows_of(headlines.SELF_RLEF, report.results),
    )


def page_style(name: str = "page.css") -> str:
    """The CSS that reports share, or one page's own."""
    return _read(name)


def make_environment(template: str) -> jinja2.Environment:
    """Where `template` is rendered: escaped, strict, with the filters of reports."""
    names = (template, "macros.html.j2")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: _read(name) for name in names}),
        autoescape=True,  # jinja2's own choice by file name would leave .j2 unescaped
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clipped": functools.partial(clipped, max_chars=MAX_CHARS),
        "colour": colour_of,
        "duration": format_secs,
        "share_of_longest": _share_of_longest,
        "svg": _svg,
    }
    return environment


def _read(name: str) -> str:
    folder = importlib.resources.files("simex.report")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _svg(plot: Plot, is_wide: bool = False) -> Markup:
    width, height = (7.2, 3.4) if is_wide else (4.6, 2.7)
    plot = dataclasses.replace(
        plot,
        title=printable(plot.title),
        x_label=printable(plot.x_label),
        x_names=tuple(map(printable, plot.x_names)),
    )
    return Markup(render_svg(plot, width_inches=width, height_inches=height))


def _share_of_longest(secs: float, seconds: Mapping[str, float]) -> float:
    longest = max(seconds.values(), default=0.0)
    return 100 * secs / longest if longest > 0 else 0.0
