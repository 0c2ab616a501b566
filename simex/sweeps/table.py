"""One table of all runs of a sweep, from each run's results.json.

``results.json`` has everything. ``results.csv`` has a line for each run and estimate.
``results.md`` and ``results.html`` have a line for each run and chosen estimates.
"""

import csv
import dataclasses
import io
import json
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.files import write_atomically
from simex.core.stamps import seconds_by_stage
from simex.report.results import ESTIMATE_KEYS, load_estimates
from simex.report.sweep_page import SweepPage, SweepRow, as_text, write_sweep_page
from simex.sweeps.local import Run, State
from simex.sweeps.points import Change

# What stands in the table when nobody chooses: of these the ones that the runs have.
USUAL = (
    "prediction.nlex_sft",
    "prediction.rl",
    "solve.rl_pass_at_1",
    "best_at_8.simulate",
    "self_rlef.fixed",
)
MAX_COLUMNS = 6  # of estimates that are not usual


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A run in the table."""

    name: str
    changes: tuple[Change, ...]
    state: str
    secs: float  # of work on the stages that are done, those taken over included
    estimates: Mapping[str, Mapping[str, float]]


def collect_rows(runs: Sequence[Run]) -> list[Row]:
    """What each run left; one that has not ended has no estimates."""
    return [
        Row(
            name=run.point.name,
            changes=run.point.changes,
            state=run.state.value,
            secs=sum(seconds_by_stage(run.workdir).values()),
            estimates=_estimates(run),
        )
        for run in runs
    ]


def known_estimates(rows: Sequence[Row]) -> list[str]:
    """The estimates that some run has."""
    return list(dict.fromkeys(name for row in rows for name in row.estimates))


def find_unknown(rows: Sequence[Row], wanted: Sequence[str]) -> list[str]:
    """Those of `wanted` that no run has, though some have others."""
    known = known_estimates(rows)
    return [name for name in wanted if known and name not in known]


def choose_columns(rows: Sequence[Row], wanted: Sequence[str] = ()) -> list[str]:
    """The estimates to show: those asked for, or the usual ones, or the first ones."""
    known = known_estimates(rows)
    if wanted:
        return list(wanted)
    return [name for name in USUAL if name in known] or sorted(known)[:MAX_COLUMNS]


def write_tables(
    root: pathlib.Path, rows: Sequence[Row], columns: Sequence[str], *, title: str
) -> None:
    """Writes results.json, .csv, .md and .html into `root`, each whole or not at all."""
    texts = {
        "results.json": _render_json(rows),
        "results.csv": _render_csv(rows),
        "results.md": render_markdown(rows, columns),
    }
    for name, text in texts.items():
        with write_atomically(root / name) as file:
            file.write(text)
    page = SweepPage(
        title=title,
        keys=tuple(change.key for change in rows[0].changes),
        metrics=tuple(columns),
        rows=tuple(
            SweepRow(
                values=tuple(change.text for change in row.changes),
                state=row.state,
                secs=row.secs,
                estimates=row.estimates,
            )
            for row in rows
        ),
    )
    write_sweep_page(root / "results.html", page)


def render_markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The table as Markdown: percent with 95 % intervals."""
    head = [*(c.key for c in rows[0].changes), *columns, "state"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [as_text(row.estimates.get(name), name) for name in columns]
        lines.append([*(c.text for c in row.changes), *cells, row.state])
    shown = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
    return "\n".join(f"| {line} |" for line in shown) + "\n"


def _render_json(rows: Sequence[Row]) -> str:
    records = [
        {
            "name": row.name,
            "settings": {change.key: change.text for change in row.changes},
            "state": row.state,
            "seconds": round(row.secs, 3),
            "estimates": row.estimates,
        }
        for row in rows
    ]
    return json.dumps({"runs": records}, indent=1, allow_nan=False) + "\n"


def _render_csv(rows: Sequence[Row]) -> str:
    """One line for each estimate; one without a name for a run that has none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    keys = [change.key for change in rows[0].changes]
    writer.writerow(["run", *keys, "state", "seconds", "estimate", *ESTIMATE_KEYS])
    for row in rows:
        first = [row.name, *(c.text for c in row.changes), row.state, f"{row.secs:.1f}"]
        for name, estimate in row.estimates.items():
            writer.writerow([*first, name, *(estimate[k] for k in ESTIMATE_KEYS)])
        if not row.estimates:
            writer.writerow([*first, "", *[""] * len(ESTIMATE_KEYS)])
    return file.getvalue()


def _estimates(run: Run) -> dict[str, dict[str, Any]]:
    path = run.workdir / "results.json"
    if run.state is not State.DONE or not path.exists():
        return {}  # of a run under way the file may be of earlier settings
    try:
        return load_estimates(path)
    except UserError as error:  # the run can write it again, the sweep goes on
        warnings.warn(f"{run.point.name} has no estimates: {error}", stacklevel=2)
        return {}
