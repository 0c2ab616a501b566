"""Job: one policy, alone or beside others on the same held-out items."""

import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import jax

from simex.core.files import read_jsonl
from simex.core.names import unknown_name
from simex.core.stamps import seconds_by_stage
from simex.evals import loop_summary, prices, summary
from simex.evals.intervals import Estimate, paired_difference
from simex.evals.output_prediction import predictions_path
from simex.evals.rankers import RANKERS
from simex.jobs.report_estimates import (
    MAX_K,
    Groups,
    load_candidates,
    load_loop,
    price_solving,
)
from simex.jobs.report_plots import (
    find_rollout_pages,
    plot_analysis,
    plot_best_at_k,
    plot_loops,
    plot_stages,
)
from simex.jobs.sandbox import load_backends, warn_of_weaker
from simex.jobs.study import make_tables
from simex.report.content import Price, Report
from simex.report.page import write_report as write_page
from simex.report.results import save_results

# A loop fix_X is compared with the loop resample_X.
FIX, CONTROL = "fix", "resample"
# Who chooses one of k candidates; "random" is pass@1.
CHOOSERS = ("simulate", "simulate_vote", "oracle", "majority", "shortest")
ROLES = {"": None, "_right": "right", "_wrong": "wrong"}  # of programs, by suffix


@gin.configurable
def rl_results(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    seed: int,
    predicting: Mapping[str, str],
    solving: Mapping[str, str],
    subject: str = "rl",
    own: str | None = None,
    ks: Sequence[int] = (MAX_K,),
    title: str = "simex: does RL pay?",
) -> None:
    """Writes results.json and report.html, here and at the top of the workdir.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      seed: of the run.
      predicting: for each policy the stage whose checkpoint `evaluate_prediction` asked.
      solving: for each policy its stage of evaluate_solving.
      subject: the policy that is compared with every other.
      own: a stage of evaluate_prediction that asked the policies of `predicting` about
        programs that a model wrote; None: there is none.
      ks: of pass@k and best@k, each in 1..evaluate_solving.samples.
      title: of the page.

    What each way to solve costs (samples, predictions, runs) stands beside it: loops have
    one rule for going on, and not the same number of samples. The samples of a loop's
    last row are its mean turns, submissions included.

    Raises:
      UserError: an unknown subject, or a k beyond the candidates of a problem.
    """
    for names in (predicting, solving):
        if subject not in names:
            raise unknown_name("rl_results.subject", subject, names)
    found = estimate_predictions(workdir / "evaluate_prediction", predicting, subject)
    if own is not None:
        of_own = estimate_predictions(workdir / own, predicting, subject)
        found |= {
            k.replace("prediction", "prediction_own", 1): e for k, e in of_own.items()
        }
    found |= estimate_solvers(workdir, solving, subject, ks)
    priced = {}
    for name, stage in solving.items():
        found |= estimate_loops(workdir / stage, name)
        priced[name] = list(map(prices.to_record, price_solving(workdir / stage, ks)))
    results = {name: estimate.as_dict() for name, estimate in found.items()}
    seconds = seconds_by_stage(workdir)
    device = f"{jax.default_backend()} x {jax.device_count()}"
    judged = [*solving.values(), *predicting.values()]
    backend = load_backends(workdir / s.removesuffix("@best") for s in judged)
    report = Report(
        title=title,
        facts={
            "seed": str(seed),
            "device": device,
            "sandbox": backend,
            "compared": subject,
        },
        warnings=warn_of_weaker(backend),
        seconds=seconds,
        results=results,
        groups=make_tables(found),
        rl_curves=tuple(plot_stages(workdir, predicting)),
        best_at_k=plot_best_at_k(
            load_candidates(workdir / solving[subject]), max_k=max(ks)
        ),
        prices=tuple(Price(**row) for row in priced[subject]),
        loops=plot_loops(workdir / solving[subject]),
        analysis=tuple(plot_analysis(workdir)),
        links=tuple(find_rollout_pages(workdir)),
        settings=(workdir / "config.gin").read_text(encoding="utf-8"),
    )
    for folder in (stage_dir, workdir):
        save_results(
            folder / "results.json",
            results,
            seconds=seconds,
            seed=seed,
            device=device,
            backend=backend,
            required=(),
            tables={
                **{f"prices.{name}": rows for name, rows in priced.items()},
                "problems": _describe_problems(workdir, solving),
            },
        )
        write_page(folder / "report.html", report)


def _describe_problems(
    workdir: pathlib.Path, solving: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Which problems each policy was asked; those of an older simex did not say."""
    paths = {name: workdir / stage / "problems.json" for name, stage in solving.items()}
    return [
        {"policy": name, **json.loads(path.read_text(encoding="utf-8"))}
        for name, path in paths.items()
        if path.exists()
    ]


def estimate_predictions(
    folder: pathlib.Path, predicting: Mapping[str, str], subject: str
) -> dict[str, Estimate]:
    """Accuracies, and the subject's gain over each other policy, by kind of program.

    A kind that no program is of, such as right ones of a weak model's own, has none.
    """
    records = {
        name: list(read_jsonl(predictions_path(folder, stage)))
        for name, stage in predicting.items()
    }
    found: dict[str, Estimate] = {}
    there = {role for r in records[subject] for role in (r["role"], None)}
    roles = {suffix: role for suffix, role in ROLES.items() if role in there}
    for suffix, role in roles.items():
        for name, predicted in records.items():
            estimate = summary.estimate_accuracy(predicted, role=role)
            found[f"prediction{suffix}.{name}"] = estimate
    for (suffix, role), (name, predicted) in itertools.product(
        roles.items(), records.items()
    ):
        if name != subject:
            gain = summary.estimate_gain(records[subject], predicted, role=role)
            found[f"gain.prediction{suffix}_over_{name}"] = gain
    return found


def estimate_solvers(
    workdir: pathlib.Path,
    solving: Mapping[str, str],
    subject: str,
    ks: Sequence[int] = (MAX_K,),
) -> dict[str, Estimate]:
    """pass@1, pass@k and best@k of every ranker, with the subject's gains."""
    found: dict[str, Estimate] = {}
    groups = {}
    for name, stage in solving.items():
        judged = load_candidates(workdir / stage)
        groups[name] = summary.group_candidates(judged)
        found[f"solve.{name}"] = summary.estimate_pass_at_k(groups[name], 1)
        for k in ks:
            found |= _estimate_choice(groups[name], name, k)
        for key, estimate in summary.verifier_quality(judged).items():
            found[f"{key}.{name}"] = estimate
    for name in solving:
        if name != subject:
            gain = summary.estimate_solving_gain(groups[subject], groups[name])
            found[f"gain.solve_over_{name}"] = gain
            for k in ks:
                found[f"gain.best_at_{k}_over_{name}"] = paired_difference(
                    summary.ranked_values(groups[subject], RANKERS["simulate"], k),
                    summary.ranked_values(groups[name], RANKERS["simulate"], k),
                    clusters=summary.clusters_of(groups[subject]),
                )
    return found


def _estimate_choice(groups: Groups, name: str, k: int) -> dict[str, Estimate]:
    """What one solver reaches with k candidates, by whoever chooses among them."""
    found = {f"solve.{name}_pass_at_{k}": summary.estimate_pass_at_k(groups, k)}
    for ranker in CHOOSERS:
        estimate = summary.estimate_best_at_k(groups, ranker, k)
        found[f"best_at_{k}.{name}_{ranker}"] = estimate
    gain = summary.estimate_ranking_gain(groups, "simulate", k)
    found[f"gain.{name}_best_at_{k}_over_pass_at_1"] = gain
    gap = summary.estimate_simulation_gap(groups, k)
    found[f"gain.{name}_best_at_{k}_oracle_over_simulate"] = gap
    return found


def estimate_loops(folder: pathlib.Path, name: str) -> dict[str, Estimate]:
    """What each loop of one solver changes, and its gain over drawing anew."""
    outcomes = {
        path.stem: load_loop(folder, path.stem)
        for path in sorted((folder / "loops").glob("*.jsonl"))
    }
    found: dict[str, Estimate] = {}
    for loop, records in outcomes.items():
        for key, estimate in loop_summary.estimate_loop(records).items():
            found[f"loop_{loop}.{name}_{key}"] = estimate
        found[f"gain.{name}_{loop}"] = loop_summary.estimate_loop_gain(records)
        control = loop.replace(FIX, CONTROL)
        if control != loop and control in outcomes:
            gain = loop_summary.estimate_loop_gain(records, outcomes[control])
            found[f"gain.{name}_{loop}_over_{control}"] = gain
    return found
