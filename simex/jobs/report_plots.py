"""The plots of a report, from the metrics and candidates in a workdir."""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simex.core.files import read_jsonl
from simex.core.stamps import has_stage
from simex.evals import candidates, loop_summary, summary
from simex.jobs.report_estimates import CURVE_RANKERS, MAX_K
from simex.report.content import Link, Plot, Series

_ANALYSIS = "analyse_predictions"  # the stage


def plot_sft(workdir: pathlib.Path) -> Iterator[Plot]:
    """The losses of both supervised runs."""
    series = tuple(
        _series(workdir / stage / "metrics.jsonl", "loss", label)
        for stage, label in (
            ("nlex/train_sft", "NLEX"),
            ("direct/train_sft", "direct answers"),
        )
    )
    yield Plot(
        title="Loss by train step",
        note="Nats a target token; the two learn from different targets.",
        series=series,
    )


def plot_held_out(workdir: pathlib.Path) -> Iterator[Plot]:
    """What training saw of examples that it never learns from, where it looked."""
    runs = (("nlex/train_sft", "NLEX"), ("direct/train_sft", "direct answers"))
    for metric, title, note in (
        ("loss", "Held-out loss by train step", "Nats a target token."),
        (
            "reproduced",
            "Held-out targets that greedy decoding reproduces",
            "Word by word, the explanation too; another one may lead to the same answer.",
        ),
    ):
        series = tuple(
            one
            for stage, label in runs
            for one in _held_out_series(
                workdir / stage / "metrics.jsonl", metric, label
            )
        )
        if series:
            yield Plot(title=title, note=note, series=series, is_share=metric != "loss")


def plot_held_out_rewards(workdir: pathlib.Path) -> Iterator[Plot]:
    """The rewards on problems that RL never trains on, where it looked."""
    path = workdir / "train_rl" / "metrics.jsonl"
    if series := tuple(_held_out_series(path, "reward", "")):
        yield Plot(title="Reward on held-out problems", series=series)


def _held_out_series(path: pathlib.Path, metric: str, label: str) -> Iterator[Series]:
    """The figure of each task or objective that was looked at."""
    names = {name for record in read_jsonl(path) for name in record}
    for name in sorted(names):
        if name.startswith("validation/") and name.count("/") == 2:
            _, place, last = name.split("/")
            if last == metric:
                yield _series(path, name, f"{label}: {place}" if label else place)


def plot_stages(workdir: pathlib.Path, stages: Mapping[str, str]) -> Iterator[Plot]:
    """What several RL stages earned while they trained, each a line.

    Args:
      workdir: of the run.
      stages: by the name of the line; those without such a figure have none.
    """
    paths = {
        label: workdir / stage.removesuffix("@best") / "metrics.jsonl"
        for label, stage in stages.items()
    }
    for name, title in (
        ("predict_output/passed", "Predicted rightly, in training"),
        ("predict_output/part/sound", "Told before the first false statement"),
        ("solve/passed", "Solved at the end, in training"),
        ("fix/part/mended", "Failing attempts mended, in training"),
        ("policy/entropy", "Entropy, nats"),
    ):
        series = tuple(
            one
            for label, path in paths.items()
            if path.exists() and (one := _series(path, name, label)).x
        )
        if series:
            is_share = name != "policy/entropy"
            yield Plot(title=title, series=series, is_share=is_share)


def plot_rl(workdir: pathlib.Path) -> Iterator[Plot]:
    """Rewards, flat groups, entropy, clipping and agreement by train step."""
    path = workdir / "train_rl" / "metrics.jsonl"
    objectives = (("predict_output", "predicting"), ("solve", "solving"))

    def by_objective(metric: str) -> tuple[Series, ...]:
        return tuple(
            _series(path, f"{name}/{metric}", label) for name, label in objectives
        )

    yield Plot(title="Reward", series=by_objective("reward"))
    yield Plot(
        title="Flat groups",
        note="Every rollout failed, or every one passed: nothing to learn.",
        series=by_objective("flat_all_failed") + by_objective("flat_all_passed"),
        is_share=True,
    )
    yield Plot(title="Entropy", series=(_series(path, "policy/entropy", "nats"),))
    yield Plot(
        title="Clipped tokens",
        series=(
            _series(path, "policy/clip_fraction_low", "below"),
            _series(path, "policy/clip_fraction_high", "above"),
        ),
        is_share=True,
    )
    yield Plot(
        title="Sampler and trainer",
        note="Mean |logprob difference| of sampled tokens; 0 but for rounding.",
        series=(_series(path, "policy/logprob_gap", "nats"),),
    )


def _series(path: pathlib.Path, name: str, label: str) -> Series:
    points = [(r["step"], r[name]) for r in read_jsonl(path) if name in r]
    suffix = {"flat_all_failed": ", all failed", "flat_all_passed": ", all passed"}
    label += suffix.get(name.split("/")[-1], "")
    return Series(
        label=label, x=tuple(p[0] for p in points), y=tuple(p[1] for p in points)
    )


def plot_best_at_k(
    judged: list[candidates.JudgedCandidate], *, max_k: int = MAX_K
) -> Plot:
    """best@k of every ranker for k from 1 to `max_k`."""
    groups = summary.group_candidates(judged)
    series = []
    for ranker in CURVE_RANKERS:
        estimates = [
            summary.estimate_best_at_k(groups, ranker, k) for k in range(1, max_k + 1)
        ]
        series.append(
            Series(
                label=ranker,
                x=tuple(range(1, max_k + 1)),
                y=tuple(e.value for e in estimates),
                low=tuple(e.low for e in estimates) if ranker == "simulate" else (),
                high=tuple(e.high for e in estimates) if ranker == "simulate" else (),
            )
        )
    return Plot(
        title="best@k by ranker", series=tuple(series), x_label="k", is_share=True
    )


def plot_loops(folder: pathlib.Path) -> Plot | None:
    """Solved attempts by turn, for every loop of an evaluate_solving stage."""
    series = []
    for path in sorted((folder / "loops").glob("*.jsonl")):
        curve = loop_summary.turn_curve(list(read_jsonl(path)))
        series.append(
            Series(
                label=path.stem,
                x=tuple(range(1, len(curve) + 1)),
                y=tuple(e.value for e in curve),
                low=tuple(e.low for e in curve),
                high=tuple(e.high for e in curve),
            )
        )
    if not series:
        return None
    return Plot(
        title="Solved by turn",
        note="Were the loop cut there; bands are 95 % intervals.",
        series=tuple(series),
        x_label="turn",
        is_share=True,
    )


def find_rollout_pages(workdir: pathlib.Path) -> Iterator[Link]:
    """The pages of recorded train steps of the run's stages, beside the records."""
    for path in sorted(workdir.glob("**/rollouts/step_*.html")):
        place = path.relative_to(workdir)
        if has_stage(workdir, place.parent.parent.as_posix()):
            yield Link(path=place.as_posix(), text=f"{place.parts[0]}, {path.stem}")


def load_analysis(workdir: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The tables of the run's analyse_predictions by checkpoint; {} without it."""
    path = workdir / _ANALYSIS / "analysis.json"
    if not (has_stage(workdir, _ANALYSIS) and path.exists()):
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")))


def plot_analysis(workdir: pathlib.Path) -> Iterator[Plot]:
    """The tables of `load_analysis`, parts along the x axis."""
    tables = load_analysis(workdir)
    names = list(dict.fromkeys(n for found in tables.values() for n in found))
    for name in names:
        found = {label: t[name] for label, t in tables.items() if name in t}
        if name == "untraced":
            continue
        first = next(iter(found.values()))
        parts = list(
            dict.fromkeys(r["part"] for t in found.values() for r in t["rows"])
        )
        series = tuple(
            _parts_series(label, t["rows"], parts) for label, t in found.items()
        )
        yield Plot(
            title=first["title"],
            note="Share of predictions; bars are 95 % intervals.",
            series=series,
            x_label="",
            x_names=tuple(parts),
            is_of_kinds=True,
            is_share=True,
        )


def _parts_series(
    label: str, rows: Sequence[Mapping[str, Any]], parts: Sequence[str]
) -> Series:
    ordered = sorted(rows, key=lambda row: parts.index(row["part"]))
    return Series(
        label=label,
        x=tuple(parts.index(row["part"]) for row in ordered),
        y=tuple(row["value"] for row in ordered),
        low=tuple(row["low"] for row in ordered),
        high=tuple(row["high"] for row in ordered),
    )
