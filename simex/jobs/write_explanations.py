"""Job: tell each trace in words, and check every stated value against the trace."""

import collections
import json
import pathlib
from collections.abc import Callable, Iterator

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.progress import progress
from simex.nlex.facts import collect_facts
from simex.nlex.grounding import check_grounding
from simex.nlex.rewriters import REWRITERS
from simex.traces.records import from_record


@gin.configurable
def write_explanations(
    workdir: pathlib.Path,
    *,
    style: str = "compact",
    min_grounding: float = 1.0,
    max_chars: int = 400,
) -> None:
    """Writes write_explanations/explanations.jsonl and report.json.

    Args:
      style: a name in nlex.rewriters.REWRITERS.
      min_grounding: explanations with a lower share of true statements are dropped.
      max_chars: longer explanations are dropped; a laptop's model has a small window.
    """
    if style not in REWRITERS:
        raise UserError(
            f"write_explanations.style must be one of {', '.join(REWRITERS)}; "
            f"got {style!r}."
        )
    folder = workdir / "write_explanations"
    paths = sorted((workdir / "trace_programs").glob("*.jsonl"))
    if not paths:
        raise UserError("There must be traces; run the stage trace_programs first.")

    def records_from(start: int) -> Iterator[dict]:
        records = (record for path in paths for record in read_jsonl(path))
        for index, record in enumerate(progress(records, label="nlex", unit="trace")):
            if index >= start:
                yield _explain(record, style, min_grounding, max_chars)

    continue_jsonl(folder / "explanations.jsonl", records_from)
    _write_report(folder)


def _explain(record: dict, style: str, min_grounding: float, max_chars: int) -> dict:
    kept = {key: value for key, value in record.items() if key != "trace"}
    if "dropped" in record:
        return kept
    trace = from_record(record["trace"])
    kept["stdout"] = trace.stdout
    explanation = REWRITERS[style](trace)
    grounding = check_grounding(explanation, collect_facts(trace))
    checks: dict[str, Callable[[], bool]] = {
        "trace truncated": lambda: trace.is_truncated,
        "explanation too long": lambda: len(explanation.text) > max_chars,
        "not grounded": lambda: grounding.score < min_grounding,
    }
    for reason, is_dropped in checks.items():
        if is_dropped():
            return {**kept, "dropped": reason}
    return {**kept, "thought": explanation.text, "grounding": grounding.score}


def _write_report(folder: pathlib.Path) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for record in read_jsonl(folder / "explanations.jsonl"):
        kind = "functions" if record["role"] == "function" else "curriculum"
        counts[f"{kind}: {record.get('dropped', 'kept')}"] += 1
    with write_atomically(folder / "report.json") as file:
        json.dump(dict(sorted(counts.items())), file, indent=2)
