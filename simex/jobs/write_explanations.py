"""Job: tell each trace in words, and check every stated value against the trace."""

import collections
import json
import pathlib
from collections.abc import Iterator

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.names import unknown_name
from simex.core.prng import host_rng
from simex.core.progress import progress
from simex.nlex.explanation import Explanation
from simex.nlex.grounding import Grounding, check_grounding
from simex.nlex.noise import Noise, corrupt_explanation, corrupt_trace
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth
from simex.traces.records import from_record
from simex.traces.trace import Trace

MAX_LISTED = 20  # false statements listed for one explanation


@gin.configurable
def write_explanations(
    workdir: pathlib.Path,
    *,
    style: str = "compact",
    min_grounding: float = 1.0,
    max_chars: int = 400,
    noise: float = 0.0,
    noise_place: str = "explanation",
    seed: int = 0,
) -> None:
    """Writes write_explanations/explanations.jsonl and report.json.

    A dropped record says why; one that is not grounded lists its false statements with
    their places.

    Args:
      workdir: of the run.
      style: a name in nlex.rewriters.REWRITERS.
      min_grounding: explanations with a lower share of true statements are dropped.
        For the control with noise, 0 keeps them all.
      max_chars: longer explanations are dropped; a laptop's model has a small window.
      noise: share of the stated values that are made wrong on purpose, as a control.
      noise_place: "explanation", or "trace": then a wrong trace is told well.
      seed: of the noise.
    """
    if style not in REWRITERS:
        raise unknown_name("style", style, REWRITERS, where="write_explanations.style")
    wrong = Noise(fraction=noise, place=noise_place, seed=seed)
    folder = workdir / "write_explanations"
    paths = sorted((workdir / "trace_programs").glob("*.jsonl"))
    if not paths:
        raise UserError("There must be traces; run the stage trace_programs first.")

    def records_from(start: int) -> Iterator[dict]:
        records = (record for path in paths for record in read_jsonl(path))
        for index, record in enumerate(progress(records, label="nlex", unit="trace")):
            if index >= start:
                yield explain_record(
                    record,
                    style=style,
                    min_grounding=min_grounding,
                    max_chars=max_chars,
                    noise=wrong,
                )

    continue_jsonl(folder / "explanations.jsonl", records_from)
    _write_report(folder)


def explain_record(
    record: dict, *, style: str, min_grounding: float, max_chars: int, noise: Noise
) -> dict:
    """The record of a trace with its explanation, or with why it has none."""
    kept = {key: value for key, value in record.items() if key != "trace"}
    if "dropped" in record:
        return kept
    trace = from_record(record["trace"])
    kept["stdout"] = trace.stdout
    if trace.is_truncated:
        return {**kept, "dropped": "trace truncated"}
    truth = Truth(trace)
    explanation, num_wrong = _tell(trace, truth, style, noise, record["id"])
    if len(explanation.text) > max_chars:
        return {**kept, "dropped": "explanation too long"}
    grounding = check_grounding(explanation, truth)
    if noise.fraction:
        kept["num_corrupted"] = num_wrong
    if grounding.score < min_grounding:
        return {
            **kept,
            "dropped": "not grounded",
            "grounding": grounding.score,
            "false_statements": list_false_statements(explanation, grounding),
        }
    return {**kept, "thought": explanation.text, "grounding": grounding.score}


def _tell(
    trace: Trace, truth: Truth, style: str, noise: Noise, record_id: str
) -> tuple[Explanation, int]:
    """The explanation with the noise that is asked for, and how much that is."""
    if not noise.fraction:
        return REWRITERS[style](trace), 0
    rng = host_rng(noise.seed, "nlex", "noise", record_id)
    if noise.place == "trace":
        wrong, count = corrupt_trace(trace, fraction=noise.fraction, rng=rng)
        return REWRITERS[style](wrong), count
    told = REWRITERS[style](trace)
    return corrupt_explanation(told, truth, fraction=noise.fraction, rng=rng)


def list_false_statements(explanation: Explanation, grounding: Grounding) -> list[dict]:
    """The first false statements: place, text and reason."""
    return [
        {
            "start": judged.statement.start,
            "end": judged.statement.end,
            "text": explanation.text[judged.statement.start : judged.statement.end],
            "reason": judged.reason,
        }
        for judged in grounding.false_statements[:MAX_LISTED]
    ]


def _write_report(folder: pathlib.Path) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for record in read_jsonl(folder / "explanations.jsonl"):
        kind = "functions" if record["role"] == "function" else "curriculum"
        counts[f"{kind}: {record.get('dropped', 'kept')}"] += 1
        if "num_corrupted" in record:
            counts["noise: explanations with wrong values"] += (
                record["num_corrupted"] > 0
            )
            is_found = record["grounding"] < 1
            counts["noise: of these found by the check"] += (
                record["num_corrupted"] > 0 and is_found
            )
    with write_atomically(folder / "report.json") as file:
        json.dump(dict(sorted(counts.items())), file, indent=2)
