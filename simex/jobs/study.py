"""Jobs of experiments/study: the numbers of one seed, and the table over seeds."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gin
import jax

from simex.core.files import read_jsonl, write_atomically
from simex.core.stamps import seconds_by_stage
from simex.evals import loop_summary, summary
from simex.evals.intervals import Estimate, paired_difference
from simex.evals.output_prediction import predictions_path
from simex.evals.rankers import RANKERS
from simex.evals.study import (
    Combined,
    combine_all,
    describe_interval,
    judge_orderings,
)
from simex.jobs.report_estimates import MAX_K, load_candidates, load_loop
from simex.jobs.sandbox import load_backends
from simex.report.content import Plot, Report, Series
from simex.report.headlines import Group
from simex.report.page import write_report as write_page
from simex.report.results import load_estimates, save_results

BEST = f"best_at_{MAX_K}"


@gin.configurable
def study_results(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    seed: int,
    rows: Mapping[str, str],
    baseline: str = "direct",
    reference: str = "compact",
    own: str = "own/evaluate_solving",
    dedicated: str = "dedicated/evaluate_solving",
    untrained: str = "untrained/evaluate_solving",
) -> None:
    """Writes results.json, here and at the top of the workdir.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      seed: of the run.
      rows: for each row of the study the stage that trained it.
      baseline: the row that every row is compared with.
      reference: the row that is compared with every row.
      own: the stage where the solver simulates itself.
      dedicated: the same candidates, simulated by another checkpoint.
      untrained: where a solver that never learned to fix is asked to.
    """
    estimates = _prediction(workdir, rows, baseline, reference)
    estimates |= _solving(workdir / own, workdir / dedicated)
    estimates |= _loops(workdir / own)
    loop = loop_summary.estimate_loop_gain(load_loop(workdir / untrained, "fix"))
    estimates["gain.loop_untrained"] = loop
    for path in (stage_dir / "results.json", workdir / "results.json"):
        save_results(
            path,
            {name: estimate.as_dict() for name, estimate in estimates.items()},
            seconds=seconds_by_stage(workdir),
            seed=seed,
            device=f"{jax.default_backend()} x {jax.device_count()}",
            backend=load_backends(workdir / stage for stage in (own, dedicated)),
            required=(),
        )


def _prediction(
    workdir: pathlib.Path, rows: Mapping[str, str], baseline: str, reference: str
) -> dict[str, Estimate]:
    folder = workdir / "evaluate_prediction"
    records = {
        row: list(read_jsonl(predictions_path(folder, stage)))
        for row, stage in rows.items()
    }
    found: dict[str, Estimate] = {}
    for row, predicted in records.items():
        found[f"prediction.{row}"] = summary.estimate_accuracy(predicted)
        for role in ("right", "wrong"):
            name = f"prediction_{role}.{row}"
            found[name] = summary.estimate_accuracy(predicted, role=role)
        for one, other in ((row, baseline), (reference, row)):
            if one != other:
                gain = summary.estimate_gain(records[one], records[other])
                found[f"gain.{one}_over_{other}"] = gain
    return found


def _solving(own: pathlib.Path, dedicated: pathlib.Path) -> dict[str, Estimate]:
    mine, theirs = load_candidates(own), load_candidates(dedicated)
    groups, other = summary.group_candidates(mine), summary.group_candidates(theirs)
    best = {r: summary.ranked_values(groups, RANKERS[r], MAX_K) for r in RANKERS}
    by_other = summary.ranked_values(other, RANKERS["simulate"], MAX_K)
    clusters = summary.clusters_of(groups)
    found = {
        "solve.pass_at_1": summary.estimate_pass_at_k(groups, 1),
        f"solve.pass_at_{MAX_K}": summary.estimate_pass_at_k(groups, MAX_K),
        f"{BEST}.simulate_dedicated": summary.estimate_best_at_k(
            other, "simulate", MAX_K
        ),
        "gain.oracle_over_simulate": summary.estimate_simulation_gap(groups, MAX_K),
        "gain.dedicated_over_own": paired_difference(
            by_other, best["simulate"], clusters=clusters
        ),
    }
    for ranker in RANKERS:
        found[f"{BEST}.{ranker}"] = summary.estimate_best_at_k(groups, ranker, MAX_K)
    for ranker in ("shortest", "majority", "random"):
        gain = paired_difference(best["simulate"], best[ranker], clusters=clusters)
        found[f"gain.simulate_over_{ranker}"] = gain
    for name, candidates in (("own", mine), ("dedicated", theirs)):
        for key, estimate in summary.verifier_quality(candidates).items():
            found[f"{key}.{name}"] = estimate
    return found


def _loops(folder: pathlib.Path) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    control = load_loop(folder, "resample")
    for path in sorted((folder / "loops").glob("*.jsonl")):
        name, outcomes = path.stem, load_loop(folder, path.stem)
        for key, estimate in loop_summary.estimate_loop(outcomes).items():
            found[f"loop_{name}.{key}"] = estimate
        found[f"gain.loop_{name}"] = loop_summary.estimate_loop_gain(outcomes)
        if name != "resample":
            gain = loop_summary.estimate_loop_gain(outcomes, control)
            found[f"gain.loop_{name}_over_resample"] = gain
    return found


@gin.configurable
def report_study(
    workdir: pathlib.Path, stage_dir: pathlib.Path, *, runs: Sequence[str], title: str
) -> None:
    """Writes results.json, report.html and table.md: every row over all seeds.

    Args:
      workdir: of this run.
      stage_dir: of this stage.
      runs: the workdirs of the seeds, each with its results.json.
      title: of the page.
    """
    found = combine_all(
        [load_estimates(pathlib.Path(r) / "results.json") for r in runs]
    )
    orderings = judge_orderings(found)
    results = {name: _as_estimate(c) for name, c in found.items()}
    backends = " and ".join(dict.fromkeys(filter(None, map(_load_backend, runs))))
    seconds = {run: sum(seconds_by_stage(pathlib.Path(run)).values()) for run in runs}
    verdicts = "\n".join(f"{o['verdict']:32} {o['ordering']}" for o in orderings)
    interval = describe_interval(len(runs))
    report = Report(
        title=title,
        about=f"{verdicts}\n\n{interval}",
        facts={"seeds": str(len(runs))},
        seconds=seconds,
        results=results,
        groups=make_tables(found),
        analysis=tuple(_plots(found)),
    )
    for folder in (stage_dir, workdir):
        save_results(
            folder / "results.json",
            results,
            seconds=seconds,
            seed=0,
            device=f"{jax.default_backend()} x {jax.device_count()}",
            backend=backends,
            required=(),
            tables={"orderings": orderings, "by_seed": _by_seed(found)},
        )
        write_page(folder / "report.html", report)
        with write_atomically(folder / "table.md") as file:
            file.write(f"{_render_table(found, orderings)}\n{interval}\n")
    print(f"{verdicts}\n{interval}")


def _load_backend(run: str) -> str:
    path = pathlib.Path(run) / "results.json"
    return json.loads(path.read_text(encoding="utf-8"))["backend"]


def _as_estimate(combined: Combined) -> dict[str, float]:
    names = (field.name for field in dataclasses.fields(Estimate))
    return {name: getattr(combined, name) for name in names}


def _by_seed(found: Mapping[str, Combined]) -> list[dict[str, Any]]:
    return [{"name": name, "values": list(c.by_seed)} for name, c in found.items()]


_TITLES = {
    "prediction": "Predicting what a program prints",
    "prediction_right": "... of right programs",
    "prediction_wrong": "... of wrong programs",
    "solve": "Solving",
    BEST: f"Choosing one of {MAX_K}",
    "verifier": "Verifiers",
    "gain": "Differences, paired within each seed",
}


def make_tables(names: Iterable[str]) -> tuple[Group, ...]:
    """Tables of results, one for each first word of their names."""
    by_head: dict[str, dict[str, str]] = {}
    for name in names:
        head, _, label = name.partition(".")
        by_head.setdefault(head, {})[name] = label
    return tuple(
        Group(title=_TITLES.get(head, head.replace("_", " ")), note="", labels=labels)
        for head, labels in by_head.items()
    )


def _plots(found: Mapping[str, Combined]) -> list[Plot]:
    """Each seed's values, and the mean with its interval, for what has rows."""
    plots = []
    for head in ("prediction", BEST, "gain"):
        names = [n for n in found if n.split(".")[0] == head]
        chosen = [found[n] for n in names]
        if not chosen:
            continue
        places = tuple(range(len(names)))
        mean = Series(
            label="mean",
            x=places,
            y=tuple(c.value for c in chosen),
            low=tuple(c.low for c in chosen),
            high=tuple(c.high for c in chosen),
        )
        seeds = [
            Series(label=f"seed {i}", x=places, y=tuple(c.by_seed[i] for c in chosen))
            for i in range(len(chosen[0].by_seed))
        ]
        plots.append(
            Plot(
                title=_TITLES[head],
                series=(mean, *seeds),
                x_label="",
                x_names=tuple(n.partition(".")[2].replace("_", " ") for n in names),
                is_of_kinds=True,
                is_share=True,
            )
        )
    return plots


def _render_table(
    found: Mapping[str, Combined], orderings: Sequence[Mapping[str, Any]]
) -> str:
    lines = [
        "| measured | percent | 95 % interval | by seed | n |",
        "|---|---|---|---|---|",
    ]
    for name, c in found.items():
        seeds = ", ".join(f"{100 * v:.1f}" for v in c.by_seed)
        interval = f"[{100 * c.low:.1f}, {100 * c.high:.1f}]"
        lines.append(f"| {name} | {100 * c.value:.1f} | {interval} | {seeds} | {c.n} |")
    lines += ["", "| ordering | verdict |", "|---|---|"]
    lines += [f"| {o['ordering']} | {o['verdict']} |" for o in orderings]
    return "\n".join(lines) + "\n"
