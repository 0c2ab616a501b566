"""Job: where simulation breaks, from predictions and the traces of what really ran."""

import functools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import gin

from simex.core.continued import continue_jsonl
from simex.core.files import read_jsonl, write_atomically
from simex.core.progress import progress
from simex.evals.analysis import break_down, describe_prediction
from simex.jobs.sandbox import SandboxConfig
from simex.problems.problem import Limits
from simex.sandbox.pool import SandboxPool
from simex.traces.collect import TraceFailure, collect_traces


@gin.configurable
def analyse_predictions(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    predictions: Sequence[str],
    style: str = "compact",
    max_events: int = 10_000,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes <name>.jsonl, features of each prediction, and analysis.json.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      predictions: files of evaluate_prediction in the workdir, of stdin programs. A name
        is that of the file, and where two have one, with their folders.
      style: in which the model explains, a name in nlex.reading.READERS.
      max_events: a longer run is left out, and counted under "untraced".
      sandbox: where the programs are traced.
    """
    tables: dict[str, Any] = {}
    with sandbox.open_pool() as pool:
        for name, short in zip(predictions, _short_names(predictions)):
            path = stage_dir / f"{short}.jsonl"
            describe = functools.partial(
                _describe_all,
                list(read_jsonl(workdir / name)),
                pool,
                style=style,
                max_events=max_events,
                label=f"analysis/{path.stem}",
            )
            continue_jsonl(path, describe)
            tables[path.stem] = _make_tables(list(read_jsonl(path)))
    with write_atomically(stage_dir / "analysis.json") as file:
        json.dump(tables, file, indent=1)


def _short_names(predictions: Sequence[str]) -> list[str]:
    """The names of the files, with their folders where two have one name."""
    stems = [pathlib.Path(name).stem for name in predictions]
    return [
        stem
        if stems.count(stem) == 1
        else pathlib.PurePath(name).with_suffix("").as_posix().replace("/", "_")
        for name, stem in zip(predictions, stems, strict=True)
    ]


def _describe_all(
    records: Sequence[dict[str, Any]],
    pool: SandboxPool,
    start: int,
    *,
    style: str,
    max_events: int,
    label: str,
) -> Iterator[dict[str, Any]]:
    rest = records[start:]
    traces = collect_traces(
        pool,
        [(r["source"], r["stdin"], _limits_of(r)) for r in rest],
        max_events=max_events,
        verify=False,
    )
    shown = progress(traces, len(rest), label=label, unit="prediction")
    for record, trace in zip(rest, shown, strict=True):
        if isinstance(trace, TraceFailure):
            yield {"id": record["id"], "dropped": trace.reason}
        elif trace.is_truncated:
            yield {"id": record["id"], "dropped": "trace truncated"}
        else:
            yield describe_prediction(record, trace, style=style)


def _limits_of(record: dict[str, Any]) -> Limits:
    """Those of the run that was predicted. Older records have none, and the defaults."""
    return Limits(**record.get("limits", {}))


def _make_tables(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    described = [record for record in records if "dropped" not in record]
    tables: dict[str, Any] = {"untraced": len(records) - len(described)}
    for found in break_down(described) if described else ():
        tables[found.name] = {"title": found.title, "rows": found.as_rows()}
    return tables
