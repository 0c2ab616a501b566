"""Claims over several seeds: which orderings hold, and how surely.

Seeds draw other problems, other programs and other params, so their estimates are
independent. The standard error of the mean of S seeds takes the larger of two
variances: s^2, what the seeds show among each other, and w, what each has within itself
over problems. The interval is mean -+ q * sqrt(max(s^2, w) / S). Where s^2 is the
larger one, it is known from S values alone, and q is the quantile of Student's t with
S - 1 degrees of freedom (Student 1908; 4.303 for 3 seeds); otherwise w, from hundreds
of values, decides, and q is the normal 1.96.

How often such an interval of 3 seeds holds the truth (100,000 simulated studies, normal
values), with a true variance between seeds of 0, 0.5, 1, 3, 10 and infinitely many times
w: 97, 95, 94, 92, 94 and 95 % (with 1.96 always: 96, 93, 90, 86, 82 and 81 %).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

Z = 1.96
# The 97.5 % quantiles of Student's t with 1, 2, ..., 30 degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
ORDERINGS = {
    "gain.compact_over_direct": "(a) explanations beat bare answers at equal compute",
    "gain.compact_over_prose": "(a') compact explanations beat prose",
    "gain.compact_over_raw": "(a'') compact explanations beat raw trace dumps",
    "gain.compact_over_right": "(c') right and wrong programs beat right ones alone",
    "gain.oracle_over_simulate": "(d) the oracle chooses better than simulation",
    "gain.simulate_over_shortest": "(d) simulation beats the shortest",
    "gain.simulate_over_majority": "(d) simulation beats the majority",
    "gain.simulate_over_random": "(d) simulation beats pass@1",
    "gain.dedicated_over_own": "(e) a dedicated verifier closes the simulation gap",
    "gain.loop_untrained": "(f, reversed) the scaffold without training helps",
    "gain.loop_fix": "(g) fixes outnumber breaks, predicted feedback",
    "gain.loop_careful": "(g) ... where a fix must pass its own simulation",
    "gain.loop_executed": "(g) ... with executed feedback",
    "gain.loop_none": "(g) ... without feedback",
    "gain.loop_fix_over_resample": "fixing beats drawing anew",
    "gain.loop_careful_over_resample": "careful fixing beats drawing anew",
    "gain.compact_over_noise10": "(h) 10 % wrong values harm",
    "gain.compact_over_noise30": "(h) 30 % wrong values harm",
    "gain.compact_over_noise100": "(h) only wrong values harm",
    "gain.prediction_over_sft": "RL predicts better than SFT",
    "gain.prediction_right_over_sft": "... right programs",
    "gain.prediction_wrong_over_sft": "... wrong programs",
    "gain.prediction_over_more": "... than further SFT",
    "gain.prediction_own_over_sft": "RL predicts what a model wrote better than SFT",
    "gain.prediction_own_wrong_over_sft": "... wrong programs",
    "gain.prediction_own_over_more": "... than further SFT",
    "gain.prediction_over_outcome": "... than RL on the outcome alone",
    "gain.prediction_over_grounded": "... than RL on the explanation alone",
    "gain.prediction_over_predict": "... than RL on predicting alone",
    "gain.solve_over_sft": "RL solves better than SFT",
    "gain.solve_over_more": "... than further SFT",
    "gain.solve_over_solve": "... than RL on solving alone",
    "gain.best_at_8_over_sft": "best@8 by simulation is higher after RL than after SFT",
    "gain.best_at_8_over_more": "... than after further SFT",
    "gain.best_at_8_over_dedicated": "... than a dedicated verifier ranks it",
    "gain.noise100_over_direct": "(h, reversed) only wrong values still beat answers",
} | {
    f"gain.{policy}_{loop}": sentence
    for policy in ("rl", "executed", "predicted")
    for loop, sentence in {
        "fix": f"self-RLEF after RL ({policy}): fixes outnumber breaks",
        "fix_over_resample": "... and fixing beats drawing anew",
        "fix_executed": "... fixes outnumber breaks with executed feedback",
        "fix_executed_over_resample_executed": "... and beat drawing anew",
    }.items()
}
"""A difference that is positive where the sentence holds (METHOD: orderings)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combined:
    """One estimate over S seeds."""

    name: str
    value: float  # the mean of the seeds
    low: float
    high: float
    by_seed: tuple[float, ...]
    n: int  # values of all seeds together
    stderr: float
    problems: int

    @property
    def verdict(self) -> str:
        """Of a difference: does the sentence of ORDERINGS hold?"""
        agree = sum(v > 0 for v in self.by_seed)
        seeds = f"{agree} of {len(self.by_seed)} seeds above 0"
        if self.low > 0:
            return f"holds ({seeds})"
        return f"{'does not hold' if self.high < 0 else 'not shown'} ({seeds})"


def combine(name: str, estimates: Sequence[Mapping[str, float]]) -> Combined:
    """One estimate from those of independent seeds; see the module's docstring."""
    values = [float(e["value"]) for e in estimates]
    num = len(values)
    mean = math.fsum(values) / num
    within = math.fsum(e["stderr"] ** 2 for e in estimates) / num
    between = math.fsum((v - mean) ** 2 for v in values) / max(num - 1, 1)
    stderr = math.sqrt(max(within, between) / num)
    quantile = _t_quantile(num) if between > within else Z
    return Combined(
        name=name,
        value=mean,
        low=mean - quantile * stderr,
        high=mean + quantile * stderr,
        by_seed=tuple(values),
        n=sum(int(e["n"]) for e in estimates),
        stderr=stderr,
        problems=sum(int(e["problems"]) for e in estimates),
    )


def _t_quantile(num_seeds: int) -> float:
    # More than 31 seeds are taken as 31: too wide by 4 % at most.
    return _T[min(num_seeds, len(_T) + 1) - 2]


def describe_interval(num_seeds: int) -> str:
    """What the 95 % intervals of that many seeds are, in a sentence."""
    if num_seeds < 2:
        return f"Intervals: {Z} standard errors over problems; one seed."
    return (
        f"Intervals: {_t_quantile(num_seeds):.3f} standard errors (Student's t, "
        f"{num_seeds - 1} degrees of freedom) where the seeds differ by more than their "
        f"problems explain, otherwise {Z}."
    )


def combine_all(
    runs: Sequence[Mapping[str, Mapping[str, float]]],
) -> dict[str, Combined]:
    """Every estimate that all runs have, by name, in the order of the first run."""
    names = [n for n in runs[0] if all(n in run for run in runs)]
    return {name: combine(name, [run[name] for run in runs]) for name in names}


def judge_orderings(found: Mapping[str, Combined]) -> list[dict[str, Any]]:
    """A row for each ordering that was measured."""
    return [
        {"ordering": sentence, "name": name, "verdict": found[name].verdict}
        for name, sentence in ORDERINGS.items()
        if name in found
    ]
