"""Job: tell each trace in words, and check every stated value against the trace."""

import collections
import dataclasses
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.names import unknown_name
from simex.core.prng import host_rng
from simex.core.progress import SECS_BETWEEN_LINES, progress
from simex.jobs.checkpoint_teller import CheckpointTeller
from simex.nlex.completion import Completer
from simex.nlex.completion.cache import CachedCompleter
from simex.nlex.completion.cost import find_cost
from simex.nlex.completion.endpoint import Endpoint, EndpointCompleter
from simex.nlex.explanation import Explanation
from simex.nlex.grounding import Grounding, check_grounding
from simex.nlex.noise import Noise, corrupt_explanation, corrupt_trace
from simex.nlex.rewriters import REWRITERS, llm
from simex.nlex.truth import Truth
from simex.traces.records import from_record
from simex.traces.trace import Trace

MAX_LISTED = 20  # false statements listed for one explanation


@gin.configurable
def write_explanations(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    style: str = "compact",
    min_grounding: float = 1.0,
    max_chars: int = 400,
    noise: float = 0.0,
    noise_place: str = "explanation",
    seed: int = 0,
    endpoint: Endpoint | None = None,
    checkpoint: CheckpointTeller | None = None,
) -> None:
    """Writes explanations.jsonl and report.json.

    A dropped record says why; one that is not grounded lists its false statements with
    their places.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      style: a name in nlex.rewriters.REWRITERS, or "llm".
      min_grounding: explanations with a lower share of true statements are dropped.
        For the control with noise, 0 keeps them all.
      max_chars: longer explanations are dropped; a laptop's model has a small window.
      noise: share of the stated values that are made wrong on purpose, as a control.
      noise_place: "explanation", or "trace": then a wrong trace is told well. A language
        model is shown the wrong trace next to the program, and may see through it.
      seed: of the noise.
      endpoint: of the language model that tells the traces, for the style "llm". Its
        answers are kept in cache.jsonl, and what they cost in cost.json.
      checkpoint: of ours, in its stead.
    """
    tellers = [teller for teller in (endpoint, checkpoint) if teller is not None]
    if len(tellers) != (1 if style == llm.STYLE else 0):
        raise UserError(
            "For the style 'llm', and only for it, one of write_explanations.endpoint "
            f"and checkpoint must be set; got style {style!r}, endpoint {endpoint} and "
            f"checkpoint {checkpoint}."
        )
    if not tellers and style not in REWRITERS:
        raise unknown_name("style", style, REWRITERS, where="write_explanations.style")
    wrong = Noise(fraction=noise, place=noise_place, seed=seed)
    folder = stage_dir
    paths = sorted((workdir / "trace_programs").glob("*.jsonl"))
    if not paths:
        raise UserError("There must be traces; run the stage trace_programs first.")

    rules = Rules(min_grounding=min_grounding, max_chars=max_chars, noise=wrong)

    def records_from(start: int) -> Iterator[dict]:
        records = (record for path in paths for record in read_jsonl(path))
        shown = progress(records, label="nlex", unit="trace")
        rest = itertools.islice(shown, start, None)
        if endpoint is not None:
            yield from _ask_endpoint(rest, endpoint, folder, rules)
        elif checkpoint is not None:
            completer = checkpoint.make_completer(workdir)
            yield from _ask(rest, completer, checkpoint.salt, folder, rules)
        else:
            yield from (explain_record(r, style=style, rules=rules) for r in rest)

    continue_jsonl(folder / "explanations.jsonl", records_from)
    _write_report(folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What an explanation must be to be kept."""

    min_grounding: float = 1.0
    max_chars: int = 400
    noise: Noise = Noise()


def explain_record(record: dict, *, style: str, rules: Rules) -> dict:
    """The record of a trace with its explanation, or with why it has none."""
    kept, trace = _prepare(record)
    if trace is None:
        return kept
    return _judge(kept, trace, REWRITERS[style](_shown(kept, trace, rules)), rules)


def explain_with_model(
    records: Iterable[dict], rewriter: llm.LlmRewriter, *, rules: Rules
) -> Iterator[dict]:
    """As `explain_record` for each record, in order; the model is asked ahead."""
    pending: collections.deque[tuple[dict, Trace | None]] = collections.deque()

    def traces() -> Iterator[Trace]:
        for record in records:
            kept, trace = _prepare(record)
            pending.append((kept, trace))
            if trace is not None:
                yield _shown(kept, trace, rules)

    for told in rewriter.rewrite_all(traces()):
        while pending[0][1] is None:
            yield pending.popleft()[0]
        kept, trace = pending.popleft()
        if isinstance(told, llm.RewriteFailure):
            yield {**kept, "dropped": told.reason}
        elif trace is not None:
            yield _judge(kept, trace, told, rules)
    yield from (kept for kept, _ in pending)


def _ask_endpoint(
    records: Iterable[dict], endpoint: Endpoint, folder: pathlib.Path, rules: Rules
) -> Iterator[dict]:
    completer = EndpointCompleter(endpoint)
    try:
        yield from _ask(records, completer, endpoint.salt, folder, rules, endpoint)
    finally:
        if completer.num_retries:
            print(f"nlex: tried again: {dict(completer.num_retries)}", file=sys.stderr)


def _ask(
    records: Iterable[dict],
    completer: Completer,
    salt: str,
    folder: pathlib.Path,
    rules: Rules,
    endpoint: Endpoint | None = None,
) -> Iterator[dict]:
    """Records as they are told; what was spent is shown on the way and kept."""
    cache = CachedCompleter(completer, folder / "cache.jsonl", salt=salt)
    rewriter = llm.LlmRewriter(cache)
    shown = time.monotonic()
    try:
        for record in explain_with_model(records, rewriter, rules=rules):
            yield record
            if time.monotonic() - shown >= SECS_BETWEEN_LINES:
                shown = time.monotonic()
                print(f"nlex: {find_cost(cache, endpoint)}", file=sys.stderr)
    finally:
        cost = find_cost(cache, endpoint)
        print(f"nlex: {rewriter.counts}; {cost}", file=sys.stderr)
        with write_atomically(folder / "cost.json") as file:
            json.dump(dataclasses.asdict(cost), file, indent=1)


def _prepare(record: dict) -> tuple[dict, Trace | None]:
    """The record without its trace, and the trace if it can be told."""
    kept = {key: value for key, value in record.items() if key != "trace"}
    if "dropped" in record:
        return kept, None
    trace = from_record(record["trace"])
    kept["stdout"] = trace.stdout
    if trace.is_truncated:
        return {**kept, "dropped": "trace truncated"}, None
    return kept, trace


def _shown(kept: dict, trace: Trace, rules: Rules) -> Trace:
    """The trace that is told: a wrong one if the noise has its place there."""
    noise = rules.noise
    if not noise.fraction or noise.place != "trace":
        return trace
    rng = host_rng(noise.seed, "nlex", "noise", kept["id"])
    wrong, count = corrupt_trace(trace, fraction=noise.fraction, rng=rng)
    kept["num_corrupted"] = count
    return wrong


def _judge(kept: dict, trace: Trace, told: Explanation, rules: Rules) -> dict:
    truth = Truth(trace)
    noise = rules.noise
    if noise.fraction and noise.place == "explanation":
        rng = host_rng(noise.seed, "nlex", "noise", kept["id"])
        told, count = corrupt_explanation(told, truth, fraction=noise.fraction, rng=rng)
        kept["num_corrupted"] = count
    if len(told.text) > rules.max_chars:
        return {**kept, "dropped": "explanation too long"}
    grounding = check_grounding(told, truth)
    if not grounding.is_output_right:
        return {**kept, "dropped": "claims another output"}
    if grounding.score < rules.min_grounding:
        return {
            **kept,
            "dropped": "not grounded",
            "grounding": grounding.score,
            "false_statements": list_false_statements(told, grounding),
        }
    return {**kept, "thought": told.text, "grounding": grounding.score}


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
        default = "functions" if record["role"] == "function" else "curriculum"
        kind = record.get("origin", default)
        counts[f"{kind}: {record.get('dropped', 'kept')}"] += 1
        if "num_corrupted" in record and "grounding" in record:
            counts["noise: explanations with wrong values"] += (
                record["num_corrupted"] > 0
            )
            is_found = record["grounding"] < 1
            counts["noise: of these found by the check"] += (
                record["num_corrupted"] > 0 and is_found
            )
    with write_atomically(folder / "report.json") as file:
        json.dump(dict(sorted(counts.items())), file, indent=2)
