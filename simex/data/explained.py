"""One shard of a dataset, from programs to bytes: run, told, checked, tokenized, written.

A shard is a pure function of its settings and its number. It is written under another
name and renamed, its report last: a killed build finds whole shards or none, and what
it makes again has the same bytes.
"""

import collections
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from simex.core.files import write_atomically, write_bytes_atomically
from simex.data.records import Example
from simex.data.runs import Run, ShardedRuns, is_as_expected
from simex.data.shards import write_shard
from simex.nlex.grounding import Grounding, check_grounding
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth
from simex.problems.problem import Limits
from simex.sandbox.interpreter import find_interpreter
from simex.sandbox.pool import RunPool
from simex.tasks import explain, predict_output
from simex.tokens.chat import render
from simex.tokens.tokenizer import SentencePieceTokenizer
from simex.traces.collect import TraceFailure, collect_traces
from simex.traces.trace import Trace

SAMPLES_PER_SHARD = 1
KEPT = "kept"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """What every shard of a dataset shares."""

    out: str
    runs: ShardedRuns
    shard_size: int
    seed: int
    style: str
    min_grounding: float
    max_chars: int
    max_events: int
    max_trace_bytes: int
    cpu_secs: float
    verify: bool
    tokenizer: str  # path of a sentencepiece model; "": no ids are written
    backend: str
    allow_unsafe: bool


def report_path(out: str | os.PathLike[str], split: str, index: int) -> pathlib.Path:
    """The report of a shard; it exists when the shard is whole."""
    return pathlib.Path(out) / "reports" / f"{split}-{index:05d}.json"


def make_shard(plan: ShardPlan, split: str, index: int, pool: RunPool) -> None:
    """Writes one shard: its records, its ids and, last, its report."""
    kept: list[Example] = []
    counts: collections.Counter[str] = collections.Counter()
    licenses: collections.Counter[str] = collections.Counter()
    dropped_ids: dict[str, str] = {}
    programs: dict[str, tuple[str, str]] = {}  # origin, and what became of it
    for run, told in _explain_all(plan, split, index, pool):
        if isinstance(told, Example):
            licenses[run.license] += 1
            kept.append(told)
        else:
            dropped_ids[run.id] = told
        fate = told if isinstance(told, str) else KEPT
        counts[fate] += 1
        # Of a program with no example at all the first run says why.
        if fate == KEPT or run.program not in programs:
            programs[run.program] = run.origin, fate
    folder = pathlib.Path(plan.out) / "shards"
    size_bytes = write_shard(folder / f"{split}-{index:05d}.array_record", kept)
    report: dict[str, Any] = {
        "num_examples": len(kept),
        "num_bytes": size_bytes,
        "counts": dict(sorted(counts.items())),
        "programs": _count_by_origin(programs.values()),
        "licenses": dict(sorted(licenses.items())),
        "dropped": dropped_ids,
        "num_target_chars": [len(example.target) for example in kept],
        "samples": [vars(example) for example in kept[:SAMPLES_PER_SHARD]],
        "sandbox": {
            "backend": pool.backend_name,
            "python": find_interpreter().version,
        },
    }
    if plan.tokenizer:
        report["num_tokens"] = _write_ids(plan, split, index, kept)
    with write_atomically(report_path(plan.out, split, index)) as file:
        json.dump(report, file)


def _count_by_origin(fates: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts: dict[str, collections.Counter[str]] = {}
    for origin, fate in fates:
        counts.setdefault(origin, collections.Counter())[fate] += 1
    return {o: dict(sorted(count.items())) for o, count in sorted(counts.items())}


def _explain_all(
    plan: ShardPlan, split: str, index: int, pool: RunPool
) -> Iterator[tuple[Run, Example | str]]:
    """Each run with its example, or with why there is none."""
    shard = plan.runs.shard(split, index, size=plan.shard_size, seed=plan.seed)
    runs = list(shard)
    traces = collect_traces(
        pool,
        [(run.source, run.stdin) for run in runs],
        max_events=plan.max_events,
        max_bytes=plan.max_trace_bytes,
        limits=Limits(cpu_secs=plan.cpu_secs),
        verify=plan.verify,
    )
    for run, trace in zip(runs, traces, strict=True):
        if isinstance(trace, TraceFailure):
            # The words after a colon name values: too many to be counted by.
            yield run, trace.reason.partition(":")[0]
        else:
            yield run, _explain(plan, run, trace)


def _explain(plan: ShardPlan, run: Run, trace: Trace) -> Example | str:
    if not is_as_expected(
        trace.stdout, run.expected, checker=run.checker, float_tol=run.float_tol
    ):
        return "traced stdout differs from what is expected"
    if trace.is_truncated:
        is_long = len(trace.events) >= plan.max_events
        over = (
            f"{plan.max_events} events" if is_long else f"{plan.max_trace_bytes} bytes"
        )
        return f"the trace is over {over}"
    told = REWRITERS[plan.style](trace)
    if len(told.text) > plan.max_chars:
        return "explanation too long"
    grounding: Grounding = check_grounding(told, Truth(trace))
    if grounding.score < plan.min_grounding:
        return "not grounded"
    return make_example(run, told.text, trace.stdout)


def make_example(run: Run, thought: str, stdout: str) -> Example:
    """The example of a run: of a function its value is asked for, else its stdout."""
    if run.call:
        # The program ends with printing the value, which the prompt asks for.
        source = run.source.rsplit("\nprint(", 1)[0]
        task, prompt = "explain", explain.render_prompt(source, run.call)
        target = explain.render_target(thought, run.call, stdout)
    else:
        task = "predict_output"
        prompt = predict_output.render_prompt(run.source, run.stdin)
        target = predict_output.render_target(thought, stdout)
    return Example(
        id=f"{run.id}/{'explain' if run.call else 'predict'}",
        task=task,
        prompt=prompt,
        target=target,
        group=run.group,
        source=run.origin,
        license=run.license,
    )


def _write_ids(
    plan: ShardPlan, split: str, index: int, kept: Sequence[Example]
) -> list[int]:
    """Writes ids, ends and prompt lengths as arrays; the length of each example."""
    tokenizer = _load_tokenizer(plan.tokenizer)
    rendered = [render(tokenizer, e.prompt, e.target, id=e.id) for e in kept]
    lengths = [len(r) for r in rendered]
    empty = np.zeros(0, dtype=np.int32)
    content = io.BytesIO()
    np.savez(
        content,
        ids=np.concatenate([empty, *(r.ids for r in rendered)]).astype(np.int32),
        ends=np.cumsum(lengths, dtype=np.int64),
        num_prompt_tokens=np.array(
            [int((r.loss_mask == 0).sum()) for r in rendered], dtype=np.int32
        ),
    )
    path = pathlib.Path(plan.out) / "tokens" / f"{split}-{index:05d}.npz"
    write_bytes_atomically(path, content.getvalue())
    return lengths


_TOKENIZERS: dict[str, SentencePieceTokenizer] = {}


def _load_tokenizer(path: str) -> SentencePieceTokenizer:
    if path not in _TOKENIZERS:
        _TOKENIZERS[path] = SentencePieceTokenizer(path)
    return _TOKENIZERS[path]
