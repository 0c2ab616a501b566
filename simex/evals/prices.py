"""Results beside what they cost: comparing methods at unequal budgets says nothing.

A sample is a completion of the solver, a prediction is one test's output said by the
verifier, an execution is a public test that was really run before submitting, and a
submission is a program that the hidden tests judge. All are means over problems.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simex.evals.candidates import JudgedCandidate
from simex.evals.intervals import Estimate, mean_with_interval
from simex.evals.loop_summary import Records, mean_cost, turn_curve
from simex.evals.rankers import RANKERS, SCORES, submit_n
from simex.evals.summary import clusters_of, estimate_best_at_k, estimate_pass_at_k

Groups = Mapping[str, Sequence[JudgedCandidate]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Priced:
    """A share of solved problems, with what it costs a problem."""

    method: str
    estimate: Estimate
    samples: float
    predictions: float = 0.0
    executions: float = 0.0
    submissions: float = 1.0


def price_candidates(groups: Groups, ks: Sequence[int]) -> list[Priced]:
    """pass@k, best@k of every ranker and 2@k by simulation, for each k."""
    rows = []
    for k in ks:
        rows.append(
            Priced(
                method=f"pass@{k}",
                estimate=estimate_pass_at_k(groups, k),
                samples=k,
                submissions=k,
            )
        )
        for ranker in RANKERS if k > 1 else ():
            rows.append(_priced(groups, ranker, k, 1))
        for ranker in ("oracle", "simulate") if k > 2 else ():
            rows.append(_priced(groups, ranker, k, 2))
    return rows


def _priced(groups: Groups, ranker: str, k: int, n: int) -> Priced:
    tests = _mean(len(g[0].passed_public) for g in groups.values())
    rounds = _mean(len(g[0].predicted_pass) for g in groups.values())
    predictions = k * tests * rounds if ranker.startswith("simulate") else 0.0
    executions = k * tests if ranker == "oracle" else 0.0
    return Priced(
        method=f"best@{k} {ranker}" if n == 1 else f"{n}@{k} {ranker}",
        estimate=estimate_best_at_k(groups, ranker, k)
        if n == 1
        else estimate_n_at_k(groups, ranker, n=n, k=k),
        samples=k,
        predictions=predictions,
        executions=executions,
        submissions=n,
    )


def estimate_n_at_k(groups: Groups, ranker: str, *, n: int, k: int) -> Estimate:
    """n@k by `ranker`, a name in SCORES."""
    assert ranker in SCORES
    return mean_with_interval(
        [
            submit_n([c.as_candidate() for c in group], ranker, n=n, k=k)
            for group in groups.values()
        ],
        clusters_of(groups),
    )


def price_loop(name: str, outcomes: Records) -> list[Priced]:
    """One row a turn of a loop of self-RLEF."""
    return [
        Priced(
            method=f"{name}, {turn + 1} turn{'s' if turn else ''}",
            estimate=estimate,
            samples=mean_cost(outcomes, "samples", turn=turn),
            predictions=mean_cost(outcomes, "predictions", turn=turn),
            executions=mean_cost(outcomes, "executions", turn=turn),
        )
        for turn, estimate in enumerate(turn_curve(outcomes))
    ]


def to_record(row: Priced) -> dict[str, Any]:
    """A JSON-ready dict."""
    return dataclasses.asdict(row)


def _mean(values: Any) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
