"""Job: calls of real functions, traced and told in words, as training examples."""

import collections
import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import gin
import numpy as np

from simex.core.continued import continue_jsonl
from simex.core.errors import InfraError, UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.names import unknown_name
from simex.core.prng import host_rng
from simex.core.progress import progress
from simex.data.builder import build_dataset
from simex.data.records import Example
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.nlex.grounding import check_grounding
from simex.nlex.layout import ANSWER, END_ANSWER
from simex.nlex.rewriters import REWRITERS, StyleName
from simex.nlex.truth import Truth
from simex.tasks import explain
from simex.traces.collect import TraceFailure, collect_traces
from simex.traces.trace import Trace


@gin.configurable
def explain_functions(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    paths: Sequence[str],
    style: StyleName = "compact",
    max_chars: int = 600,
    max_events: int = 400,
    max_calls: int | None = None,
    max_calls_per_source: int | None = None,
    seed: int = 0,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes calls.jsonl, report.json and examples/ (ArrayRecord, split "train").

    Every call that is traced, prints what its record says and is explained truthfully
    gives two examples: with the explanation (task "explain"), and the answer alone
    (task "predict_output"), so that the model can be asked for either. report.json
    counts the calls that were read, left out untraced, dropped and explained, and
    sandbox.json names the jail and the Python, which is one for all of them.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      paths: JSON-lines files of function calls: id, group, kind, source, setup, call,
        expected. Only kind "returns" is used, and of it no call that needs a setup, for
        the prompt shows none. Never an evaluation set.
      style: a name in nlex.rewriters.REWRITERS; a language model tells traces in
        `write_explanations` alone.
      max_chars: longer explanations are dropped.
      max_events: longer runs are dropped.
      max_calls: only so many, drawn by `seed`.
      max_calls_per_source: of one function at most so many, drawn likewise, so that a
        short training sees many functions.
      seed: of both draws.
      sandbox: where functions run.
    """
    if style not in REWRITERS:
        raise unknown_name("style", style, REWRITERS, where="explain_functions.style")
    records = list(_load_records(paths))
    reasons = collections.Counter(filter(None, map(_why_left_out, records)))
    usable = [_make_call(r) for r in records if _why_left_out(r) is None]
    calls = _draw_calls(
        usable, host_rng(seed, "explain_functions"),
        max_calls=max_calls, max_calls_per_source=max_calls_per_source,
    )  # fmt: skip
    with sandbox.open_pool() as pool:
        note_sandbox(stage_dir, pool)

        def records_from(start: int) -> Iterator[dict[str, Any]]:
            rest = calls[start:]
            runs = [(call["program"], "") for call in rest]
            traces = collect_traces(pool, runs, max_events=max_events)
            shown = progress(traces, total=len(runs), label="explain", unit="call")
            for call, trace in zip(rest, shown, strict=True):
                yield call | _explain(call, trace, style=style, max_chars=max_chars)

        continue_jsonl(stage_dir / "calls.jsonl", records_from)
    told = list(read_jsonl(stage_dir / "calls.jsonl"))
    kept = [record for record in told if "thought" in record]
    report = {
        "read": len(records),
        "left_out": reasons | {"not drawn": len(usable) - len(calls)},
        "dropped": collections.Counter(r["dropped"] for r in told if "dropped" in r),
        "explained": len(kept),
    }
    with write_atomically(stage_dir / "report.json") as file:
        json.dump(report, file, indent=1)
    # After the report, which says why where nothing was kept.
    examples = itertools.chain.from_iterable(map(_make_examples, kept))
    build_dataset({"train": examples}, stage_dir / "examples")


def _draw_calls(
    calls: Sequence[dict[str, Any]],
    rng: np.random.Generator,
    *,
    max_calls: int | None,
    max_calls_per_source: int | None,
) -> list[dict[str, Any]]:
    """Some of the calls, in their order."""
    drawn: list[int] = []
    taken: collections.Counter[str] = collections.Counter()
    for i in rng.permutation(len(calls)).tolist():
        source = calls[i]["source"]
        if max_calls_per_source is None or taken[source] < max_calls_per_source:
            taken[source] += 1
            drawn.append(i)
    return [calls[i] for i in sorted(drawn[:max_calls])]


def _load_records(paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    for path in map(pathlib.Path, paths):
        if not path.is_file():
            raise UserError(
                f"explain_functions.paths must be files of function calls; {path} is not "
                "there."
            )
        if "eval" in path.parts:
            raise UserError(f"{path} is an evaluation set; it must not be trained on.")
        yield from read_jsonl(path)


def _why_left_out(record: dict[str, Any]) -> str | None:
    if record["kind"] != "returns":
        return f"kind {record['kind']!r}"
    return "needs a setup" if record["setup"] else None


def _make_call(record: dict[str, Any]) -> dict[str, Any]:
    source = record["source"].strip("\n")
    return {
        "id": record["id"],
        "group": record["group"],
        "license": record.get("license", "unknown"),
        "source": source,
        "call": record["call"],
        "value": record["expected"],
        "program": f"{source}\nprint(repr({record['call']}))\n",
    }


def _explain(
    call: dict[str, Any],
    trace: Trace | TraceFailure | InfraError,
    *,
    style: StyleName,
    max_chars: int,
) -> dict[str, Any]:
    if isinstance(trace, TraceFailure | InfraError):
        return {"dropped": str(getattr(trace, "reason", trace))}
    if trace.stdout != f"{call['value']}\n":
        return {"dropped": "traced value differs from the record's"}
    if trace.is_truncated:
        return {"dropped": "trace truncated"}
    explanation = REWRITERS[style](trace)
    if len(explanation.text) > max_chars:
        return {"dropped": "explanation too long"}
    grounding = check_grounding(explanation, Truth(trace))
    if grounding.score < 1:
        return {"dropped": "not grounded"}
    return {"thought": explanation.text}


def _make_examples(record: dict[str, Any]) -> Iterator[Example]:
    source, call, value = record["source"], record["call"], record["value"]
    answer = f"{ANSWER}assert {call} == {value}{END_ANSWER}"
    told = explain.render_target(record["thought"], call, value)
    for task, target in (("explain", told), ("predict_output", answer)):
        yield Example(
            id=f"{record['id']}/{task}",
            task=task,
            prompt=explain.render_prompt(source, call),
            target=target,
            group=record["group"],
            source="functions",
            license=record.get("license", "unknown"),
        )
