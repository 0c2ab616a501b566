"""The numbers of a report, from what the evaluation stages left in a workdir."""

import pathlib

from simex.core.files import read_jsonl
from simex.evals import candidates, summary
from simex.evals.intervals import Estimate

MAX_K = 8
CURVE_RANKERS = ("oracle", "simulate", "majority", "shortest", "random")


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
    groups = summary.group_candidates(load_candidates(workdir))
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
    estimates |= summary.verifier_quality(load_candidates(workdir))
    return estimates | summary.estimate_fixes(list(read_jsonl(fixes_path(workdir))))


def load_candidates(workdir: pathlib.Path) -> list[candidates.JudgedCandidate]:
    """The simulated candidates of the RL checkpoint."""
    return _load(workdir / "rl" / "evaluate_solving" / "simulated.jsonl")


def _load(path: pathlib.Path) -> list[candidates.JudgedCandidate]:
    return [candidates.from_record(record) for record in read_jsonl(path)]


def fixes_path(workdir: pathlib.Path) -> pathlib.Path:
    """Where the outcomes of self-RLEF stand."""
    return workdir / "rl" / "evaluate_solving" / "fixes.jsonl"
