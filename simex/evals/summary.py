"""From records of predictions, candidates and fixes to estimates with intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.evals.candidates import JudgedCandidate
from simex.evals.intervals import Estimate, mean_with_interval, paired_difference
from simex.evals.pass_at_k import pass_at_k
from simex.evals.rankers import RANKERS, Candidate

Records = Sequence[Mapping[str, Any]]


def estimate_accuracy(records: Records, *, role: str | None = None) -> Estimate:
    """The share of right predictions, of one role of programs or of all."""
    chosen = [r for r in records if role is None or r["role"] == role]
    return mean_with_interval(
        [float(r["is_right"]) for r in chosen], [r["group"] for r in chosen]
    )


def estimate_gain(
    records: Records, baseline: Records, *, role: str | None = None
) -> Estimate:
    """The paired difference of two checkpoints on the same items, of one role or of all.

    Raises:
      ValueError: the items differ.
    """
    if [r["id"] for r in records] != [r["id"] for r in baseline]:
        raise ValueError("A paired difference needs the same items in the same order.")
    pairs = [
        (one, other)
        for one, other in zip(records, baseline, strict=True)
        if role is None or one["role"] == role
    ]
    return paired_difference(
        [float(one["is_right"]) for one, _ in pairs],
        [float(other["is_right"]) for _, other in pairs],
        clusters=[one["group"] for one, _ in pairs],
    )


def group_candidates(
    candidates: Sequence[JudgedCandidate],
) -> dict[str, list[JudgedCandidate]]:
    """Candidates by problem, in order."""
    groups: dict[str, list[JudgedCandidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.problem_id, []).append(candidate)
    return groups


def clusters_of(groups: Mapping[str, Sequence[JudgedCandidate]]) -> list[str]:
    """What intervals draw as one, for each problem: its composition."""
    return [group[0].cluster for group in groups.values()]


def estimate_pass_at_k(
    groups: Mapping[str, Sequence[JudgedCandidate]], k: int
) -> Estimate:
    """Unbiased pass@k with an interval over compositions of problems."""
    return mean_with_interval(_pass_values(groups, k), clusters_of(groups))


def estimate_best_at_k(
    groups: Mapping[str, Sequence[JudgedCandidate]], ranker: str, k: int
) -> Estimate:
    """best@k by `ranker`, a name in RANKERS."""
    return mean_with_interval(
        ranked_values(groups, RANKERS[ranker], k), clusters_of(groups)
    )


def estimate_ranking_gain(
    groups: Mapping[str, Sequence[JudgedCandidate]], ranker: str, k: int
) -> Estimate:
    """best@k by `ranker` minus pass@1, paired by problem."""
    return paired_difference(
        ranked_values(groups, RANKERS[ranker], k),
        _pass_values(groups, 1),
        clusters=clusters_of(groups),
    )


def estimate_solving_gain(
    groups: Mapping[str, Sequence[JudgedCandidate]],
    baseline: Mapping[str, Sequence[JudgedCandidate]],
) -> Estimate:
    """pass@1 of one solver minus pass@1 of another, paired by problem.

    Raises:
      ValueError: they solved other problems.
    """
    if list(groups) != list(baseline):
        raise ValueError("A paired difference needs the same problems.")
    return paired_difference(
        _pass_values(groups, 1), _pass_values(baseline, 1), clusters=clusters_of(groups)
    )


def estimate_simulation_gap(
    groups: Mapping[str, Sequence[JudgedCandidate]], k: int
) -> Estimate:
    """best@k by the oracle minus best@k by simulation, paired by problem.

    It is what a perfect verifier of public tests would add.
    """
    return paired_difference(
        ranked_values(groups, RANKERS["oracle"], k),
        ranked_values(groups, RANKERS["simulate"], k),
        clusters=clusters_of(groups),
    )


def verifier_quality(candidates: Sequence[JudgedCandidate]) -> dict[str, Estimate]:
    """How often the verdict "passes every public test" of a round is right.

    Precision: of the programs that are said to pass, how many do. Recall: of those that
    do, how many are said to. Each round of each program counts; programs of a problem
    and of its twins are one cluster.
    """
    says, true, clusters = [], [], []
    for candidate in candidates:
        if candidate.source is not None:
            for tests in candidate.predicted_pass:
                says.append(all(tests))
                true.append(all(candidate.passed_public))
                clusters.append(candidate.cluster)
    if not says:
        return {}
    agree = [float(s == t) for s, t in zip(says, true, strict=True)]
    estimates = {"verifier.agreement": mean_with_interval(agree, clusters)}
    for name, condition in (("precision", says), ("recall", true)):
        chosen = [i for i, holds in enumerate(condition) if holds]
        if chosen:
            estimates[f"verifier.{name}"] = mean_with_interval(
                [agree[i] for i in chosen], [clusters[i] for i in chosen]
            )
    return estimates


def _pass_values(
    groups: Mapping[str, Sequence[JudgedCandidate]], k: int
) -> list[float]:
    return [
        pass_at_k(len(group), sum(c.is_right for c in group), k=k)
        for group in groups.values()
    ]


def ranked_values(
    groups: Mapping[str, Sequence[JudgedCandidate]],
    ranker: Callable[[Sequence[Candidate], int], float],
    k: int,
) -> list[float]:
    """Each problem's best@k, in order."""
    return [ranker([c.as_candidate() for c in g], k) for g in groups.values()]
