"""Generations and results in the forms that other tools read.

Writers of generations are the inverse of `generations.read_generations`. Writers of
results take what `results_file.make_results` returns.
"""

import datetime
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.core.files import write_atomically
from simex.core.names import unknown_name
from simex.evals.scoring.generations import Generations
from simex.evals.scoring.rules import BenchmarkItem


def export_results(
    form: str,
    path: pathlib.Path,
    results: Mapping[str, Any],
    generations: Generations,
    items: Sequence[BenchmarkItem],
) -> None:
    """Writes `path` in a form of EXPORTERS.

    `items` are those of the benchmark: a form that holds whole programs needs their
    prompts.

    Raises:
        UserError: there is no such form, or the disk refused.
    """
    if form not in EXPORTERS:
        raise unknown_name("form of results", form, EXPORTERS)
    with write_atomically(path) as file:
        file.write(EXPORTERS[form](results, generations, items))


def render_cruxeval(generations: Generations) -> str:
    """CRUXEval's file of generations."""
    return _dump({i: [c.text for c in found] for i, found in generations.items()})


def render_livecodebench(generations: Generations) -> str:
    """LiveCodeBench's input of custom evaluation."""
    return _dump(
        [
            {"question_id": item_id, "code_list": [c.text for c in found]}
            for item_id, found in generations.items()
        ]
    )


def render_samples(generations: Generations) -> str:
    """The samples.jsonl of human-eval and evalplus."""
    lines = (
        {"task_id": item_id, "solution" if c.is_whole_program else "completion": c.text}
        for item_id, found in generations.items()
        for c in found
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


RENDERERS: dict[str, Callable[[Generations], str]] = {
    "cruxeval": render_cruxeval,
    "livecodebench": render_livecodebench,
    "samples": render_samples,
}
"""By the names of `generations.READERS`, whose inverse they are."""


Exporter = Callable[[Mapping[str, Any], Generations, Sequence[BenchmarkItem]], str]


def _human_eval(
    results: Mapping[str, Any], generations: Generations, items: Sequence[BenchmarkItem]
) -> str:
    del items
    lines = []
    for item_id, found in generations.items():
        flags = results["items"][item_id]["official"]
        for completion, passed in zip(found, flags, strict=True):
            key = "solution" if completion.is_whole_program else "completion"
            line: dict[str, Any] = {"task_id": item_id, key: completion.text}
            line |= {"result": "passed" if passed else "failed", "passed": bool(passed)}
            lines.append(json.dumps(line) + "\n")
    return "".join(lines)


_EVALPLUS_NOTES = {
    "base": "base_status is of the benchmark's own tests; no plus inputs were run.",
    "plus": "plus_status is of base and plus inputs together, which are run as one: a "
    "program that fails a base input alone fails it too, and base_status is unknown.",
}


def _evalplus(
    results: Mapping[str, Any], generations: Generations, items: Sequence[BenchmarkItem]
) -> str:
    """The official rule on the side that it is of; the other side, unknown, is null.

    The strict rule is of neither side, so this form does not hold it. A solution is a
    whole program: what follows a prompt is written after it. Of MBPP no prompt is code.
    """
    is_code = results["benchmark"].startswith("humaneval")
    prompts = {item.id: item.record["prompt"] if is_code else "" for item in items}
    is_plus = results["benchmark"].endswith("-plus")
    side, unknown = ("plus", "base") if is_plus else ("base", "plus")
    entries: dict[str, list[dict[str, Any]]] = {}
    for item_id, found in generations.items():
        flags = results["items"][item_id]["official"]
        entries[item_id] = [
            {
                "task_id": item_id,
                "solution": completion.text
                if completion.is_whole_program
                else prompts[item_id] + completion.text,
                f"{side}_status": _status(passed),
                f"{unknown}_status": None,
                "base_fail_tests": [],
                "plus_fail_tests": [],
            }
            for completion, passed in zip(found, flags, strict=True)
        ]
    scores = results["scores"]["official"]
    return _dump(
        {
            "date": results["date"],
            "hash": results["data"]["sha256"],
            "note": _EVALPLUS_NOTES[side],
            "eval": entries,
            "pass_at_k": {side: {k: score["value"] for k, score in scores.items()}},
        }
    )


def _lm_eval(
    results: Mapping[str, Any], generations: Generations, items: Sequence[BenchmarkItem]
) -> str:
    del generations, items
    task = results["benchmark"]
    scores: dict[str, Any] = {}
    for rule, by_k in results["scores"].items():
        for k, score in by_k.items():
            scores[f"{k},{rule}"] = score["value"]
            scores[f"{k}_stderr,{rule}"] = score["stderr"]
    num = results["data"]["num_items"]
    effective = results["generations"]["num_items"]
    model, sampling = results["model"] or {}, results["sampling"] or {}
    return _dump(
        {
            "results": {task: {"alias": task, **scores}},
            "configs": {
                task: {
                    "task": task,
                    "generation_kwargs": sampling,
                    "repeats": sampling.get("n"),
                    "metadata": {"rules": results["rules"], "data": results["data"]},
                }
            },
            "versions": {task: results["simex_version"]},
            "n-shot": {task: 0},
            "n-samples": {task: {"original": num, "effective": effective}},
            "task_hashes": {task: results["data"]["sha256"]},
            "higher_is_better": {
                task: {name: True for name in scores if "stderr" not in name}
            },
            "config": {
                "model": "simex",
                "model_args": model,
                "limits": results["limits"],
                "machine": results["machine"],
            },
            "git_hash": None,
            "date": datetime.datetime.fromisoformat(results["date"]).timestamp(),
            "model_name": model.get("name", ""),
        }
    )


EXPORTERS: dict[str, Exporter] = {
    "evalplus": _evalplus,
    "human-eval": _human_eval,
    "lm-eval": _lm_eval,
}
"""Forms of results, by name."""


def _status(passed: bool | None) -> str | None:
    return None if passed is None else ("pass" if passed else "fail")


def _dump(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
