"""self-RLEF: the policy simulates its own program and submits or fixes it.

Nothing is executed to decide; the judge is asked only afterwards, to measure. The
control spends the same samples differently: where the simulation says that a public
test fails, it draws another first program instead of a fix.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simex.evals.candidates import JudgedCandidate, as_judged
from simex.problems.problem import Problem
from simex.rollouts.attempt import Attempt, fix_attempts, judge_attempts
from simex.rollouts.policy import Policy
from simex.sandbox.pool import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixOutcome:
    """One attempt before and after one turn of submit-or-fix."""

    problem_id: str
    is_right_before: bool
    is_right_after: bool
    is_submitted: bool
    is_right_resampled: bool
    fixed_source: str | None

    @property
    def is_fix(self) -> bool:
        return self.is_right_after and not self.is_right_before

    @property
    def is_break(self) -> bool:
        return self.is_right_before and not self.is_right_after


def run_self_rlef(
    policy: Policy,
    problems: Mapping[str, Problem],
    candidates: Sequence[JudgedCandidate],
    *,
    pool: SandboxPool,
    samples: int,
    attempts_per_problem: int,
    seed: int,
) -> list[FixOutcome]:
    """One turn of submit-or-fix on predicted feedback, with its control.

    Args:
      policy: who fixes.
      problems: by id.
      candidates: simulated ones, problem-major, `samples` for each problem.
      pool: the judge.
      samples: candidates of a problem; at least twice `attempts_per_problem`.
      attempts_per_problem: how many of them are fixed; as many others are the control.
      seed: of the fixes.
    """
    if samples < 2 * attempts_per_problem:
        raise ValueError(
            "samples must be at least twice attempts_per_problem, since the control "
            f"draws others; got {samples} and {attempts_per_problem}."
        )
    first: list[JudgedCandidate] = []
    other: list[JudgedCandidate] = []
    for start in range(0, len(candidates), samples):
        first += candidates[start : start + attempts_per_problem]
        other += candidates[start + attempts_per_problem :][:attempts_per_problem]
    attempts = [
        Attempt(problem=problems[c.problem_id], turns=(), source=c.source)
        for c in first
    ]
    outputs = [[value or "" for value in c.predicted] for c in first]
    fixed = judge_attempts(
        pool, fix_attempts(policy, attempts, seed_path=(seed, 2), outputs=outputs)
    )
    return [
        _compare(before, after, drawn)
        for before, after, drawn in zip(first, fixed, other, strict=True)
    ]


def _compare(
    before: JudgedCandidate, after: Attempt, drawn: JudgedCandidate
) -> FixOutcome:
    has_answered = bool(after.turns)
    right_after = as_judged(after).is_right if has_answered else before.is_right
    is_kept = all(before.predicted_pass) and before.source is not None
    return FixOutcome(
        problem_id=before.problem_id,
        is_right_before=before.is_right,
        is_right_after=before.is_right if after.is_submitted else right_after,
        is_submitted=after.is_submitted,
        is_right_resampled=before.is_right if is_kept else drawn.is_right,
        fixed_source=after.source if has_answered else None,
    )


def to_record(outcome: FixOutcome) -> dict[str, Any]:
    """A JSON-ready dict."""
    return dataclasses.asdict(outcome)
