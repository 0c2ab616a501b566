"""Job: results.json and report.html from what the evaluations left on disk."""

import json
import os
import pathlib
import platform
import shutil
from collections.abc import Iterator
from typing import Any

import gin
import jax

from simex.core.files import read_jsonl
from simex.core.stamps import seconds_by_stage
from simex.evals import candidates, summary
from simex.evals.intervals import Estimate
from simex.report.content import FixMatrix, Plot, Report, Sample, Series
from simex.report.page import write_report as write_page
from simex.report.results import save_results

MAX_K = 8
CURVE_RANKERS = ("oracle", "simulate", "majority", "shortest", "random")


@gin.configurable
def write_report(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    seed: int,
    title: str = "simex",
    about: str = "",
    num_samples: int = 12,
) -> None:
    """Writes results.json and report.html, here and at the top of the workdir.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      seed: of the run, to be printed.
      title: of the page.
      about: a paragraph on what was run.
      num_samples: predictions to read.
    """
    estimates = {name: e.as_dict() for name, e in _collect_estimates(workdir).items()}
    seconds = seconds_by_stage(workdir)
    device = f"{jax.default_backend()} x {jax.device_count()}"
    backend = _read_backend(workdir)
    save_results(
        stage_dir / "results.json",
        estimates,
        seconds=seconds,
        seed=seed,
        device=device,
        backend=backend,
    )
    write_page(
        stage_dir / "report.html",
        Report(
            title=title,
            about=about,
            facts={
                "seed": str(seed),
                "device": device,
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "Python": platform.python_version(),
                "sandbox": backend,
            },
            warnings=_find_warnings(backend),
            seconds=seconds,
            results=estimates,
            sft_curves=tuple(_plot_sft(workdir)),
            rl_curves=tuple(_plot_rl(workdir)),
            best_at_k=_plot_best_at_k(_load_candidates(workdir)),
            fix_matrix=_count_fixes(workdir),
            samples=tuple(_choose_samples(workdir, num_samples)),
            settings=(workdir / "config.gin").read_text(encoding="utf-8"),
        ),
    )
    for name in ("results.json", "report.html"):
        shutil.copyfile(stage_dir / name, workdir / name)


def _collect_estimates(workdir: pathlib.Path) -> dict[str, Estimate]:
    prediction = workdir / "evaluate_prediction"
    direct = list(read_jsonl(prediction / "direct_train_sft.jsonl"))
    nlex = list(read_jsonl(prediction / "nlex_train_sft.jsonl"))
    rl = list(read_jsonl(prediction / "train_rl.jsonl"))
    functions = list(read_jsonl(prediction / "functions.jsonl"))
    estimates = {
        "prediction.direct_sft": summary.estimate_accuracy(direct),
        "prediction.nlex_sft": summary.estimate_accuracy(nlex),
        "prediction.rl": summary.estimate_accuracy(rl),
        "prediction.rl_right_programs": summary.estimate_accuracy(rl, role="right"),
        "prediction.rl_wrong_programs": summary.estimate_accuracy(rl, role="wrong"),
        "real_functions.prediction": summary.estimate_accuracy(functions),
        "gain.nlex_over_direct": summary.estimate_gain(nlex, direct),
        "gain.rl_over_nlex": summary.estimate_gain(rl, nlex),
    }
    if (prediction / "cruxeval.jsonl").exists():
        crux = list(read_jsonl(prediction / "cruxeval.jsonl"))
        estimates["cruxeval.official"] = summary.estimate_accuracy(crux)
        strict = [r | {"is_right": r["is_strictly_right"]} for r in crux]
        estimates["cruxeval.strict"] = summary.estimate_accuracy(strict)
    return estimates | _estimate_solving(workdir)


def _estimate_solving(workdir: pathlib.Path) -> dict[str, Estimate]:
    groups = summary.group_candidates(_load_candidates(workdir))
    before = summary.group_candidates(
        _load(workdir / "sft" / "evaluate_solving" / "candidates.jsonl")
    )
    estimates = {
        "solve.sft_pass_at_1": summary.estimate_pass_at_k(before, 1),
        "solve.rl_pass_at_1": summary.estimate_pass_at_k(groups, 1),
        "solve.pass_at_8": summary.estimate_pass_at_k(groups, MAX_K),
        "gain.simulate_over_pass_at_1": summary.estimate_ranking_gain(
            groups, "simulate", MAX_K
        ),
        "gain.rl_over_sft_solving": summary.estimate_solving_gain(groups, before),
    }
    for ranker in CURVE_RANKERS:
        estimates[f"best_at_8.{ranker}"] = summary.estimate_best_at_k(
            groups, ranker, MAX_K
        )
    for k in (2, 4):
        estimates[f"best_at_{k}.simulate"] = summary.estimate_best_at_k(
            groups, "simulate", k
        )
    estimates |= summary.verifier_quality(_load_candidates(workdir))
    return estimates | summary.estimate_fixes(list(read_jsonl(_fixes(workdir))))


def _plot_sft(workdir: pathlib.Path) -> Iterator[Plot]:
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


def _plot_rl(workdir: pathlib.Path) -> Iterator[Plot]:
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


def _plot_best_at_k(judged: list[candidates.JudgedCandidate]) -> Plot:
    groups = summary.group_candidates(judged)
    series = []
    for ranker in CURVE_RANKERS:
        estimates = [
            summary.estimate_best_at_k(groups, ranker, k) for k in range(1, MAX_K + 1)
        ]
        series.append(
            Series(
                label=ranker,
                x=tuple(range(1, MAX_K + 1)),
                y=tuple(e.value for e in estimates),
                low=tuple(e.low for e in estimates) if ranker == "simulate" else (),
                high=tuple(e.high for e in estimates) if ranker == "simulate" else (),
            )
        )
    return Plot(
        title="best@k by ranker", series=tuple(series), x_label="k", is_share=True
    )


def _count_fixes(workdir: pathlib.Path) -> FixMatrix:
    pairs = [
        (r["is_right_before"], r["is_right_after"]) for r in read_jsonl(_fixes(workdir))
    ]
    return FixMatrix(
        right_right=pairs.count((True, True)),
        right_wrong=pairs.count((True, False)),
        wrong_right=pairs.count((False, True)),
        wrong_wrong=pairs.count((False, False)),
    )


def _choose_samples(workdir: pathlib.Path, count: int) -> Iterator[Sample]:
    """Right and wrong predictions in turn, from the curriculum and from real code."""
    for name in ("train_rl", "functions"):
        path = workdir / "evaluate_prediction" / f"{name}.jsonl"
        records = list(read_jsonl(path))
        for is_right in (True, False):
            chosen = [r for r in records if r["is_right"] is is_right]
            for record in chosen[: count // 4]:
                yield _make_sample(record)


def _make_sample(record: dict[str, Any]) -> Sample:
    return Sample(
        title=record["id"],
        label=f"{record['role']} program"
        if record["role"] != "function"
        else "function",
        program=record["source"],
        stdin=record["stdin"],
        explanation=record["text"],
        prediction=record["said"] or f"none: {record['refusal']}",
        truth=record["true"],
        is_right=record["is_right"],
    )


def _read_backend(workdir: pathlib.Path) -> str:
    with open(workdir / "make_problems" / "sandbox.json", encoding="utf-8") as file:
        return json.load(file)["backend"]


def _find_warnings(backend: str) -> tuple[str, ...]:
    if backend.startswith("bubblewrap"):
        return ()
    warning = (
        f"Programs ran in the jail {backend!r}, the strongest that this machine could "
        "do. With bubblewrap installed they run in namespaces of their own."
    )
    return (warning,)


def _load_candidates(workdir: pathlib.Path) -> list[candidates.JudgedCandidate]:
    return _load(workdir / "rl" / "evaluate_solving" / "simulated.jsonl")


def _load(path: pathlib.Path) -> list[candidates.JudgedCandidate]:
    return [candidates.from_record(record) for record in read_jsonl(path)]


def _fixes(workdir: pathlib.Path) -> pathlib.Path:
    return workdir / "rl" / "evaluate_solving" / "fixes.jsonl"
