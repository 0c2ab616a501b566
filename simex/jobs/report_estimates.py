"""The numbers of a report, from what the evaluation stages left in a workdir."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.evals import candidates, loop_summary, prices, summary
from simex.evals.intervals import Estimate
from simex.evals.prices import Priced
from simex.evals.rankers import RANKERS

MAX_K = 8
CURVE_RANKERS = ("oracle", "simulate", "majority", "shortest", "random")
SOLVING = "rl/evaluate_solving"  # whose candidates and loops the report is about
Groups = Mapping[str, Sequence[candidates.JudgedCandidate]]


def collect_estimates(workdir: pathlib.Path) -> dict[str, Estimate]:
    """Every estimate of results.json, by its dotted name."""
    prediction = workdir / "evaluate_prediction"
    direct = list(read_jsonl(prediction / "direct_train_sft.jsonl"))
    nlex = list(read_jsonl(prediction / "nlex_train_sft.jsonl"))
    rl = list(read_jsonl(prediction / "train_rl.jsonl"))
    functions = list(read_jsonl(prediction / "functions.jsonl"))
    estimates = {
        "prediction.direct_sft": summary.estimate_accuracy(direct),
        "prediction.nlex_sft": summary.estimate_accuracy(nlex),
        "prediction.rl": summary.estimate_accuracy(rl),
        "gain.nlex_over_direct": summary.estimate_gain(nlex, direct),
        "gain.rl_over_nlex": summary.estimate_gain(rl, nlex),
    }
    for role in ("right", "wrong"):
        if any(record["role"] == role for record in rl):
            found = summary.estimate_accuracy(rl, role=role)
            estimates[f"prediction.rl_{role}_programs"] = found
    if functions:
        found = summary.estimate_accuracy(functions)
        estimates["real_functions.prediction"] = found
    if (prediction / "cruxeval.jsonl").exists():
        crux = list(read_jsonl(prediction / "cruxeval.jsonl"))
        estimates["cruxeval.official"] = summary.estimate_accuracy(crux)
        strict = [r | {"is_right": r["is_strictly_right"]} for r in crux]
        estimates["cruxeval.strict"] = summary.estimate_accuracy(strict)
    return estimates | _estimate_solving(workdir)


def _estimate_solving(workdir: pathlib.Path) -> dict[str, Estimate]:
    folder = workdir / SOLVING
    groups = load_groups(folder)
    before = summary.group_candidates(
        load_candidates(workdir / "sft" / "evaluate_solving")
    )
    return {
        "solve.sft_pass_at_1": summary.estimate_pass_at_k(before, 1),
        "solve.rl_pass_at_1": summary.estimate_pass_at_k(groups, 1),
        "solve.pass_at_8": summary.estimate_pass_at_k(groups, MAX_K),
        "gain.rl_over_sft_solving": summary.estimate_solving_gain(groups, before),
        **estimate_self_verification(groups),
        **estimate_self_rlef(folder),
    }


def estimate_self_verification(groups: Groups) -> dict[str, Estimate]:
    """best@k of every ranker, the verifier's quality and the simulation gap."""
    estimates = {
        f"best_at_{MAX_K}.{ranker}": summary.estimate_best_at_k(groups, ranker, MAX_K)
        for ranker in RANKERS
    }
    for k in (2, 4):
        estimates[f"best_at_{k}.simulate"] = summary.estimate_best_at_k(
            groups, "simulate", k
        )
    estimates["gain.simulate_over_pass_at_1"] = summary.estimate_ranking_gain(
        groups, "simulate", MAX_K
    )
    estimates["gain.oracle_over_simulate"] = summary.estimate_simulation_gap(
        groups, MAX_K
    )
    candidates = [candidate for group in groups.values() for candidate in group]
    return estimates | summary.verifier_quality(candidates)


def estimate_self_rlef(folder: pathlib.Path) -> dict[str, Estimate]:
    """The loop "fix" of a stage, with the loop "resample" as its control."""
    fix, resample = load_loop(folder, "fix"), load_loop(folder, "resample")
    changes = loop_summary.estimate_loop(fix)
    return {
        **{f"self_rlef.{name}": estimate for name, estimate in changes.items()},
        "self_rlef.resample": loop_summary.estimate_loop(resample)["fixed"],
        "gain.fixed_over_single": loop_summary.estimate_loop_gain(fix),
        "gain.fixed_over_resample": loop_summary.estimate_loop_gain(fix, resample),
    }


def price_solving(folder: pathlib.Path, ks: Sequence[int] = (MAX_K,)) -> list[Priced]:
    """What each way to use the model costs and gives, of one evaluate_solving stage.

    Beside `ks` those of 1, 2, 4 and 8 that are below the largest of them.
    """
    groups = summary.group_candidates(load_candidates(folder))
    below = {k for k in (1, 2, 4, 8) if k < max(ks)}
    rows = prices.price_candidates(groups, sorted(below | set(ks)))
    for path in sorted((folder / "loops").glob("*.jsonl")):
        rows += prices.price_loop(f"loop {path.stem}", list(read_jsonl(path)))
    return rows


def load_candidates(folder: pathlib.Path) -> list[candidates.JudgedCandidate]:
    """The candidates of an evaluate_solving stage, with simulations if it made any."""
    path = folder / "simulated.jsonl"
    if not path.exists():
        path = folder / "candidates.jsonl"
    return [candidates.from_record(record) for record in read_jsonl(path)]


def load_groups(folder: pathlib.Path) -> Groups:
    """The same by problem. Raises UserError for fewer of one than best@k asks for."""
    groups = summary.group_candidates(load_candidates(folder))
    fewest = min(map(len, groups.values()), default=0)
    if fewest < MAX_K:
        stage = f"{folder.parent.name}/{folder.name}"
        raise UserError(
            f"A report needs at least {MAX_K} candidates of each problem; {folder} has "
            f"{fewest}. Set {stage}.samples to {MAX_K} or more, or take the report out "
            "of run.stages."
        )
    return groups


def load_loop(folder: pathlib.Path, name: str) -> list[dict[str, Any]]:
    """The outcomes of one loop of an evaluate_solving stage."""
    return list(read_jsonl(folder / "loops" / f"{name}.jsonl"))
