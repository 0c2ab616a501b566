"""Job: results.json and report.html from what the evaluations left on disk."""

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
from simex.evals import loop_summary, prices
from simex.jobs.report_estimates import (
    SOLVING,
    collect_estimates,
    load_candidates,
    load_loop,
    price_solving,
)
from simex.jobs.report_plots import (
    find_rollout_pages,
    load_analysis,
    plot_analysis,
    plot_best_at_k,
    plot_held_out,
    plot_held_out_rewards,
    plot_loops,
    plot_rl,
    plot_sft,
)
from simex.jobs.sandbox import load_backends, warn_of_weaker
from simex.report.content import FixMatrix, Price, Report, Sample
from simex.report.page import write_report as write_page
from simex.report.results import save_results


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
    estimates = {name: e.as_dict() for name, e in collect_estimates(workdir).items()}
    seconds = seconds_by_stage(workdir)
    device = f"{jax.default_backend()} x {jax.device_count()}"
    backend = load_backends(workdir / stage for stage in seconds)
    priced = price_solving(workdir / SOLVING)
    save_results(
        stage_dir / "results.json",
        estimates,
        seconds=seconds,
        seed=seed,
        device=device,
        backend=backend,
        tables={
            "prices": list(map(prices.to_record, priced)),
            **_load_analysis(workdir),
        },
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
            warnings=warn_of_weaker(backend),
            seconds=seconds,
            results=estimates,
            sft_curves=(*plot_sft(workdir), *plot_held_out(workdir)),
            rl_curves=(*plot_rl(workdir), *plot_held_out_rewards(workdir)),
            best_at_k=plot_best_at_k(load_candidates(workdir / SOLVING)),
            prices=tuple(Price(**prices.to_record(row)) for row in priced),
            loops=plot_loops(workdir / SOLVING),
            analysis=tuple(plot_analysis(workdir)),
            links=tuple(find_rollout_pages(workdir)),
            fix_matrix=_count_fixes(workdir),
            samples=tuple(_choose_samples(workdir, num_samples)),
            settings=(workdir / "config.gin").read_text(encoding="utf-8"),
        ),
    )
    for name in ("results.json", "report.html"):
        shutil.copyfile(stage_dir / name, workdir / name)


def _load_analysis(workdir: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """The tables of the analysis under flat names, each row with its checkpoint."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for checkpoint, parts in load_analysis(workdir).items():
        for name, table in parts.items():
            rows = table["rows"] if isinstance(table, dict) else [{"count": table}]
            tables.setdefault(f"analysis.{name}", []).extend(
                {"checkpoint": checkpoint, **row} for row in rows
            )
    return tables


def _count_fixes(workdir: pathlib.Path) -> FixMatrix:
    changes = loop_summary.count_changes(load_loop(workdir / SOLVING, "fix"))
    return FixMatrix(
        right_right=changes[True, True],
        right_wrong=changes[True, False],
        wrong_right=changes[False, True],
        wrong_wrong=changes[False, False],
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
        prediction=record["said"]
        if record["said"] is not None
        else f"none: {record['refusal']}",
        truth=record["true"],
        is_right=record["is_right"],
    )
