"""The rankers of best@k: who says which of k candidates is submitted.

None of them may look at hidden tests. `oracle` runs the public tests, `simulate` asks
the policy what they would print, the others need neither.
"""

import ast
import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.evals.best_at_k import best_at_k, n_at_k
from simex.evals.pass_at_k import pass_at_k


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One sampled program of a problem, with all that a ranker may want to know.

    Example with R = 2 predictions for each of two public tests: ``Candidate(
    is_right=True, passed_public=2, predicted_public=(2, 1), num_tokens=64, vote="…")``.
    """

    is_right: bool  # the judge's word on every public and hidden test
    passed_public: int  # public tests that it passes when it is really run
    predicted_public: tuple[int, ...]
    """For each of R rounds of prediction, the number of public tests whose predicted
    output equals the expected one. A prediction without an answer counts as not equal."""
    num_tokens: int  # of the whole completion: reasoning and program
    vote: str  # candidates with the same text vote together; see `program_vote`
    has_program: bool = True  # False: the completion was refused


def oracle(candidates: Sequence[Candidate], k: int) -> float:
    """best@k when public tests are really run: what simulation could reach at most."""
    return _best(candidates, "oracle", k)


def simulate(candidates: Sequence[Candidate], k: int) -> float:
    """best@k by predicted public tests: the mean over the R rounds of prediction.

    Raises UserError when candidates have different numbers of rounds, or none.
    """
    return _best(candidates, "simulate", k)


def simulate_vote(candidates: Sequence[Candidate], k: int) -> float:
    """best@k by the sum over the rounds, one ranking from R predictions a test."""
    return _best(candidates, "simulate_vote", k)


def shortest(candidates: Sequence[Candidate], k: int) -> float:
    """best@k when the shortest completion with a program wins.

    short1@k (arXiv 2505.17813) takes the answer whose reasoning is the shortest. This
    counts the program too: models that simex trains on the curriculum write programs
    without any reasoning, and all would tie. A refused completion submits nothing, so
    it comes last however short it is.
    """
    return _best(candidates, "shortest", k)


def random(candidates: Sequence[Candidate], k: int) -> float:
    """best@k of a blind choice: pass@1, whatever k is."""
    del k
    right = _right(candidates)
    return pass_at_k(len(right), sum(right), k=1)


def majority(candidates: Sequence[Candidate], k: int) -> float:
    """best@k when the most frequent `vote` among the k drawn wins, ties at random.

    A refused completion has no vote; where all k are refused nothing is submitted.

    Which vote wins depends on the draw, so this is no fixed ranking: a vote that leads
    among all N may be absent from the k. The expectation is exact: for each size m of
    the winning group, count the draws with a polynomial over the groups (how many
    candidates drawn, how many groups of exactly m), as with a generating function.
    """
    _check_k(candidates, k)
    groups = _votes([c for c in candidates if c.has_program])
    num_refused = sum(not c.has_program for c in candidates)
    total = math.fsum(
        math.comb(num_refused, k - voters)
        * _value_of_winners(groups, size=size, k=voters)
        for voters in range(max(1, k - num_refused), k + 1)
        for size in range(1, voters + 1)
    )
    return total / math.comb(len(candidates), k)


RANKERS: dict[str, Callable[[Sequence[Candidate], int], float]] = {
    "oracle": oracle,
    "simulate": simulate,
    "simulate_vote": simulate_vote,
    "shortest": shortest,
    "majority": majority,
    "random": random,
}
"""Each takes a problem's N candidates and k, and gives its best@k in 0..1."""


SCORES: dict[str, Callable[[Sequence[Candidate]], list[list[float]]]] = {
    "oracle": lambda candidates: [[c.passed_public for c in candidates]],
    "simulate": lambda candidates: [list(r) for r in zip(*_rounds(candidates))],
    "simulate_vote": lambda candidates: [[sum(r) for r in _rounds(candidates)]],
    "shortest": lambda candidates: [
        [-c.num_tokens if c.has_program else -math.inf for c in candidates]
    ],
    "random": lambda candidates: [[0.0] * len(candidates)],
}
"""The rankers that score each candidate alone: one list of N scores a ranking. Several
rankings count as their mean. `majority` is none of them: whom it prefers depends on
the draw."""


def submit_n(candidates: Sequence[Candidate], ranker: str, *, n: int, k: int) -> float:
    """n@k: the chance that one of the ranker's n first of k drawn is right.

    Raises UserError for a ranker that is not in SCORES, and as `n_at_k` does.
    """
    if ranker not in SCORES:
        raise unknown_name("ranker of n@k", ranker, SCORES)
    rankings, right = SCORES[ranker](candidates), _right(candidates)
    values = [n_at_k(scores, right, n=n, k=k) for scores in rankings]
    return math.fsum(values) / len(values)


def program_vote(source: str) -> str:
    """The text under which a program votes: its syntax tree, so layout and comments
    do not split a vote; the bare text where it does not parse."""
    try:
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source.strip()


def _best(candidates: Sequence[Candidate], ranker: str, k: int) -> float:
    right = _right(candidates)
    values = [best_at_k(scores, right, k) for scores in SCORES[ranker](candidates)]
    return math.fsum(values) / len(values)


def _right(candidates: Sequence[Candidate]) -> list[bool]:
    return [c.is_right for c in candidates]


def _rounds(candidates: Sequence[Candidate]) -> list[tuple[int, ...]]:
    rounds = [c.predicted_public for c in candidates]
    counts = sorted({len(r) for r in rounds})
    if len(counts) != 1 or counts[0] == 0:
        raise UserError(
            "Ranking by simulation needs the same number of prediction rounds, at "
            f"least 1, for every candidate; got {counts}."
        )
    return rounds


def _check_k(candidates: Sequence[Candidate], k: int) -> None:
    if not 1 <= k <= len(candidates):
        raise UserError(
            f"best@k needs 1 <= k <= number of candidates; got k={k} with "
            f"{len(candidates)} candidates."
        )


def _votes(candidates: Sequence[Candidate]) -> list[tuple[int, float]]:
    """(size, share of right ones) of each group of equal votes."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.vote].append(candidate.is_right)
    return [(len(flags), sum(flags) / len(flags)) for flags in groups.values()]


def _value_of_winners(groups: list[tuple[int, float]], *, size: int, k: int) -> float:
    """Sum over the draws of k whose largest group has `size` members drawn, of the mean
    over its largest groups of their share of right candidates."""
    most = k // size  # groups that can tie at this size
    ways = np.zeros((k + 1, most + 1))  # draws, by number drawn and of tied groups
    value = np.zeros_like(ways)  # the same draws, weighted by the tied groups' shares
    ways[0, 0] = 1.0
    for members, share in groups:
        new_ways, new_value = np.zeros_like(ways), np.zeros_like(value)
        for drawn in range(min(members, size, k) + 1):
            choices, tie = math.comb(members, drawn), int(drawn == size)
            to, source = np.s_[drawn:, tie:], np.s_[: k + 1 - drawn, : most + 1 - tie]
            new_ways[to] += choices * ways[source]
            new_value[to] += choices * (value[source] + tie * share * ways[source])
        ways, value = new_ways, new_value
    return float(np.sum(value[k, 1:] / np.arange(1, most + 1)))
