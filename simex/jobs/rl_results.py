"""Job: does RL pay? One policy beside others, on the same held-out items."""

import itertools
import pathlib
from collections.abc import Mapping

import gin
import jax

from simex.core.files import read_jsonl
from simex.core.names import unknown_name
from simex.core.stamps import seconds_by_stage
from simex.evals import loop_summary, prices, summary
from simex.evals.intervals import Estimate, paired_difference
from simex.evals.rankers import RANKERS
from simex.jobs.report_estimates import (
    MAX_K,
    load_candidates,
    load_loop,
    price_solving,
)
from simex.jobs.report_plots import (
    ANALYSIS,
    find_rollout_pages,
    plot_analysis,
    plot_best_at_k,
    plot_loops,
    plot_stages,
)
from simex.jobs.study import make_tables
from simex.report.content import Price, Report
from simex.report.page import write_report as write_page
from simex.report.results import save_results

# A loop fix_X is compared with the loop resample_X.
FIX, CONTROL = "fix", "resample"
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
      title: of the page.

    What each way to solve costs (samples, predictions, runs) stands beside it: loops have
    one rule for going on, and not the same number of samples.
    """
    for names in (predicting, solving):
        if subject not in names:
            raise unknown_name("rl_results.subject", subject, names)
    found = estimate_predictions(workdir / "evaluate_prediction", predicting, subject)
    if own is not None:
        of_own = estimate_predictions(workdir / own, predicting, subject)
        found |= {
            k.replace("prediction", "prediction_own"): e for k, e in of_own.items()
        }
    found |= estimate_solvers(workdir, solving, subject)
    priced = {}
    for name, stage in solving.items():
        found |= estimate_loops(workdir / stage, name)
        priced[name] = list(map(prices.to_record, price_solving(workdir / stage)))
    results = {name: estimate.as_dict() for name, estimate in found.items()}
    seconds = seconds_by_stage(workdir)
    device = f"{jax.default_backend()} x {jax.device_count()}"
    report = Report(
        title=title,
        facts={"seed": str(seed), "device": device, "compared": subject},
        seconds=seconds,
        results=results,
        groups=make_tables(found),
        rl_curves=tuple(plot_stages(workdir, predicting)),
        best_at_k=plot_best_at_k(load_candidates(workdir / solving[subject])),
        prices=tuple(Price(**row) for row in priced[subject]),
        loops=plot_loops(workdir / solving[subject]),
        analysis=tuple(plot_analysis(workdir / ANALYSIS)),
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
            backend="",
            required=(),
            tables={f"prices.{name}": rows for name, rows in priced.items()},
        )
        write_page(folder / "report.html", report)


def estimate_predictions(
    folder: pathlib.Path, predicting: Mapping[str, str], subject: str
) -> dict[str, Estimate]:
    """Accuracies, and the subject's gain over each other policy, by kind of program."""
    records = {
        name: list(read_jsonl(folder / f"{stage.replace('/', '_')}.jsonl"))
        for name, stage in predicting.items()
    }
    found: dict[str, Estimate] = {}
    for suffix, role in ROLES.items():
        for name, predicted in records.items():
            estimate = summary.estimate_accuracy(predicted, role=role)
            found[f"prediction{suffix}.{name}"] = estimate
    for (suffix, role), (name, predicted) in itertools.product(
        ROLES.items(), records.items()
    ):
        if name != subject:
            gain = summary.estimate_gain(records[subject], predicted, role=role)
            found[f"gain.prediction{suffix}_over_{name}"] = gain
    return found


def estimate_solvers(
    workdir: pathlib.Path, solving: Mapping[str, str], subject: str
) -> dict[str, Estimate]:
    """pass@1 and best@k by simulation and by the oracle, with the subject's gains."""
    found: dict[str, Estimate] = {}
    best = f"best_at_{MAX_K}"
    groups, chosen = {}, {}
    for name, stage in solving.items():
        judged = load_candidates(workdir / stage)
        groups[name] = summary.group_candidates(judged)
        chosen[name] = summary.ranked_values(groups[name], RANKERS["simulate"], MAX_K)
        found[f"solve.{name}"] = summary.estimate_pass_at_k(groups[name], 1)
        for ranker in ("simulate", "oracle", "majority"):
            found[f"{best}.{name}_{ranker}"] = summary.estimate_best_at_k(
                groups[name], ranker, MAX_K
            )
        found[f"gain.{name}_{best}_over_pass_at_1"] = summary.estimate_ranking_gain(
            groups[name], "simulate", MAX_K
        )
        for key, estimate in summary.verifier_quality(judged).items():
            found[f"{key}.{name}"] = estimate
    for name in solving:
        if name != subject:
            gain = summary.estimate_solving_gain(groups[subject], groups[name])
            found[f"gain.solve_over_{name}"] = gain
            gain = paired_difference(
                chosen[subject],
                chosen[name],
                clusters=summary.clusters_of(groups[subject]),
            )
            found[f"gain.{best}_over_{name}"] = gain
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
            if not key.endswith("_public"):
                found[f"loop_{loop}.{name}_{key}"] = estimate
        found[f"gain.{name}_{loop}"] = loop_summary.estimate_loop_gain(records)
        control = loop.replace(FIX, CONTROL)
        if control != loop and control in outcomes:
            gain = loop_summary.estimate_loop_gain(records, outcomes[control])
            found[f"gain.{name}_{loop}_over_{control}"] = gain
    return found
