"""The data card: what a dataset holds, how long it is, what was dropped and why."""

import collections
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from simex.core.files import write_atomically

_MAX_SAMPLES = 5


def write_card(
    out: pathlib.Path,
    reports: Mapping[str, Sequence[Mapping[str, Any]]],
    settings: Mapping[str, Any],
) -> None:
    """Writes ``out/card.json`` and, to be read, ``out/card.md``.

    Args:
      out: the folder of the dataset.
      reports: of each split, those of its shards (`explained.make_shard`).
      settings: what it was built with.
    """
    card = {
        "settings": dict(settings),
        "sandbox": _sandboxes(shard for shards in reports.values() for shard in shards),
        "splits": {split: _describe(shards) for split, shards in reports.items()},
    }
    with write_atomically(out / "card.json") as file:
        json.dump(card, file, indent=1, sort_keys=True)
    with write_atomically(out / "card.md") as file:
        file.write(_render(card))


def _sandboxes(shards: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The jails and the Python that ran the programs; older reports name none."""
    notes = [shard["sandbox"] for shard in shards if "sandbox" in shard]
    names = ("backend", "python")
    return {name: sorted({note[name] for note in notes}) for name in names}


def _describe(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts: collections.Counter[str] = collections.Counter()
    licenses: collections.Counter[str] = collections.Counter()
    programs: dict[str, collections.Counter[str]] = {}
    for shard in shards:
        counts.update(shard["counts"])
        for origin, found in shard["programs"].items():
            programs.setdefault(origin, collections.Counter()).update(found)
        licenses.update(shard["licenses"])
    described: dict[str, Any] = {
        "num_examples": sum(shard["num_examples"] for shard in shards),
        "num_shards": len(shards),
        "num_bytes": sum(shard["num_bytes"] for shard in shards),
        "runs": dict(sorted(counts.items())),
        # A program is kept if an example of it is.
        "programs": {o: dict(sorted(c.items())) for o, c in sorted(programs.items())},
        "licenses": dict(sorted(licenses.items())),
        "target_chars": _lengths(shards, "num_target_chars"),
        "samples": [s for shard in shards[:_MAX_SAMPLES] for s in shard["samples"]],
    }
    if all("num_tokens" in shard for shard in shards):
        described["tokens"] = _lengths(shards, "num_tokens")
    return described


def _lengths(shards: Sequence[Mapping[str, Any]], name: str) -> dict[str, float]:
    lengths = np.array([n for shard in shards for n in shard[name]], dtype=np.int64)
    if not len(lengths):
        return {}
    return {
        "total": int(lengths.sum()),
        "mean": round(float(lengths.mean()), 1),
        "median": float(np.median(lengths)),
        "percentile_95": float(np.percentile(lengths, 95)),
        "longest": int(lengths.max()),
    }


def _render(card: Mapping[str, Any]) -> str:
    lines = ["# Data card", ""]
    for split, found in card["splits"].items():
        lines += [f"## {split}", "", f"{found['num_examples']} examples", ""]
        lines += ["| runs | number |", "|---|---|"]
        lines += [f"| {what} | {number} |" for what, number in found["runs"].items()]
        lines += ["", "| programs of | came to | number |", "|---|---|---|"]
        lines += [
            f"| {origin} | {what} | {number} |"
            for origin, fates in found["programs"].items()
            for what, number in fates.items()
        ]
        for name in ("target_chars", "tokens"):
            if found.get(name):
                shown = ", ".join(f"{k} {v}" for k, v in found[name].items())
                lines += ["", f"{name}: {shown}"]
        shown = ", ".join(f"{k} ({v})" for k, v in found["licenses"].items())
        lines += ["", f"licences: {shown}", ""]
        for sample in found["samples"][:2]:
            lines += ["```text", sample["prompt"], sample["target"], "```", ""]
    ran = card["sandbox"]
    lines += [
        f"Python {', '.join(ran['python'])}; jail {', '.join(ran['backend'])}",
        "",
    ]
    lines += ["## Settings", "", "```json"]
    lines += [json.dumps(card["settings"], indent=1, sort_keys=True), "```", ""]
    return "\n".join(lines)
