"""The results file of `simex score`: every number with what it rests on.

pass@k is the unbiased estimator, averaged over items, with the standard error over
items and a bootstrap interval over items (`simex.evals.intervals`). A generation that
the rule leaves out does not count among an item's n. Where fewer than k of its k or
more generations count then, pass@k is 1 if one of them is right, as in CRUXEval's own
scorer. An item of which everything is left out has no pass@k and is counted under
`items_left_out`, as are, at some k, items with fewer than k generations.
"""

import collections
import dataclasses
import datetime
import hashlib
import json
import pathlib
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import simex
from simex.core.errors import UserError
from simex.evals.intervals import Estimate, mean_with_interval
from simex.evals.pass_at_k import pass_at_k
from simex.evals.scoring.benchmarks import Benchmark
from simex.evals.scoring.grading import Answer, Grade
from simex.evals.scoring.rules import BenchmarkItem

RULES = ("official", "strict")


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
    """What a file of generations cannot say of itself; None where nobody told."""

    model: Mapping[str, Any] | None = None  # name, checkpoint_sha256, step
    sampling: Mapping[str, Any] | None = None
    """n, temperature, top_p, max_new_tokens, stop_ids, seed, style, prompts_sha256."""

    data_version: str | None = None  # such as "release_v5"
    data_split: str | None = None


def load_about(path: pathlib.Path) -> About:
    """An `About` from a JSON object with its fields.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    names = [field.name for field in dataclasses.fields(About)]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        content = error
    if not isinstance(content, dict) or not set(content) <= set(names):
        raise UserError(
            f"{path} must be a JSON object with any of {', '.join(names)}; it is "
            f"{str(content)[:80]}."
        )
    return About(**content)


def make_results(
    name: str,
    benchmark: Benchmark,
    grades: Sequence[Grade],
    *,
    ks: Sequence[int],
    data_path: pathlib.Path,
    generations_path: pathlib.Path,
    items: Sequence[BenchmarkItem],
    is_partial: bool,
    backend: str,
    about: About = About(),
) -> dict[str, Any]:
    """What RESULTS.json holds; see the module's docstring and `simex score --help`.

    Args:
        name: of the benchmark.
        benchmark: its rules.
        grades: of every generation.
        ks: of pass@k.
        data_path: the benchmark's own file.
        generations_path: what was scored.
        items: those that could be scored, in a window of dates where one was asked for.
        is_partial: items or generations may be missing.
        backend: the jail that ran the programs.
        about: what only whoever generated knows.
    """
    dates = sorted(item.date for item in items if item.date)
    grades = _settle(benchmark, grades)
    return {
        "benchmark": name,
        "simex_version": simex.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "is_partial": is_partial,
        "model": about.model,
        "sampling": about.sampling,
        "data": {
            "file": data_path.name,
            "sha256": hash_file(data_path),
            "version": about.data_version,
            "split": about.data_split,
            "date_window": [dates[0], dates[-1]] if dates else None,
            "num_items": len(items),
        },
        "generations": {
            "file": generations_path.name,
            "sha256": hash_file(generations_path),
            "num_items": len({grade.item_id for grade in grades}),
            "num_generations": len(grades),
        },
        "rules": {
            "official": benchmark.official_rule,
            "strict": benchmark.strict_rule,
        },
        "limits": _describe_limits(benchmark),
        "machine": {
            "backend": backend,
            "cpu": _cpu_model(),
            "python": platform.python_version(),
            # The programs' interpreter is this one: there is no image to name.
            "python_sha256": hash_file(pathlib.Path(sys.executable)),
        },
        "scores": {rule: score_by_k(_by_item(grades, rule), ks) for rule in RULES},
        "verdicts": {rule: _count_verdicts(grades, rule) for rule in RULES},
        # A generation that the sandbox failed on ends the scoring: there are none.
        "excluded": {
            **{rule: _count_left_out(grades, rule) for rule in RULES},
            "infra_failed": 0,
        },
        "items": _item_records(grades),
    }


def score_by_k(
    answers: Mapping[str, Sequence[Answer]], ks: Sequence[int]
) -> dict[str, Any]:
    """pass@k for each k: value, standard error, interval, and the n of items."""
    scores: dict[str, Any] = {}
    for k in ks:
        found = [_pass_at_k(item, k) for item in answers.values()]
        values = [value for value in found if value is not None]
        scores[f"pass@{k}"] = _estimate(values) | {
            "items_left_out": len(found) - len(values)
        }
    return scores


def hash_file(path: pathlib.Path) -> str:
    """SHA-256 of the content; of a folder, of its files' names and contents."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else ()
    for file in files or [path]:
        digest.update(str(file.relative_to(path)).encode() if files else b"")
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _describe_limits(benchmark: Benchmark) -> dict[str, float] | str:
    if benchmark.limits is None:
        return "each problem's own"
    return dataclasses.asdict(benchmark.limits)


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        names = (field.name for field in dataclasses.fields(Estimate))
        return {**dict.fromkeys(names), "n": 0, "problems": 0}
    return mean_with_interval(values).as_dict()


def _pass_at_k(answers: Sequence[Answer], k: int) -> float | None:
    """Of one item; None where it has none."""
    counted = [a.passed for a in answers if a.passed is not None]
    if len(counted) >= k:
        return pass_at_k(len(counted), sum(counted), k=k)
    return 1.0 if len(answers) >= k and any(counted) else None


def _settle(benchmark: Benchmark, grades: Sequence[Grade]) -> list[Grade]:
    settled = {
        item_id: iter(benchmark.settle(found))
        for item_id, found in _by_item(grades, "official").items()
    }
    return [
        dataclasses.replace(grade, official=next(settled[grade.item_id]))
        for grade in grades
    ]


def _by_item(grades: Sequence[Grade], rule: str) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for grade in grades:
        found.setdefault(grade.item_id, []).append(getattr(grade, rule))
    return found


def _count_verdicts(grades: Sequence[Grade], rule: str) -> dict[str, int]:
    counts = collections.Counter(getattr(grade, rule).verdict for grade in grades)
    return dict(sorted(counts.items()))


def _count_left_out(grades: Sequence[Grade], rule: str) -> int:
    return sum(getattr(grade, rule).passed is None for grade in grades)


def _cpu_model() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine()).strip()


def _item_records(grades: Sequence[Grade]) -> dict[str, dict[str, list[bool | None]]]:
    records: dict[str, dict[str, list[bool | None]]] = {}
    for grade in grades:
        record = records.setdefault(grade.item_id, {rule: [] for rule in RULES})
        for rule in RULES:
            record[rule].append(getattr(grade, rule).passed)
    return records
