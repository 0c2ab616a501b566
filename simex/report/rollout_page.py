"""One HTML page for a recorded train step: no server, no network, no script.

Filters and colours are style sheets that look at check boxes. All that models and
programs wrote is escaped, and a content security policy forbids scripts and requests
should an escape ever be missing.
"""

import importlib.resources
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from simex.core.files import write_atomically
from simex.report.printable import printable
from simex.report.rollout_records import make_step_content


def write_rollout_page(
    out: pathlib.Path, records: Sequence[Mapping[str, Any]], *, title: str
) -> None:
    """Writes the page of one step to `out`, whole or not at all.

    The same records give the same bytes. Raises UserError when the disk is full.
    """
    with write_atomically(out) as file:
        file.write(render_rollout_page(records, title=title))


def render_rollout_page(records: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("rollouts.html.j2").render(
        step=make_step_content(records, title=title),
        style=Markup(_read("rollouts.css")),
    )


def _read(name: str) -> str:
    folder = importlib.resources.files("simex.report")
    return folder.joinpath(name).read_text(encoding="utf-8")
