"""Objective 2 of RL: solve a problem, and fix the attempt after true feedback."""

import dataclasses
import pathlib
from collections.abc import Sequence

from simex.core.errors import InfraError
from simex.core.files import read_jsonl
from simex.problems.problem import Problem
from simex.problems.records import from_record
from simex.rollouts.policy import Policy, Query
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sandbox.judge import judge_all
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve, submit_or_fix


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A trajectory in the making: its turns so far and the program that stands."""

    problem: Problem
    turns: tuple[Turn, ...]
    source: str | None  # None: the last completion held no program
    judgement: Judgement | InfraError | None = None
    is_submitted: bool = False

    @property
    def has_passed(self) -> bool:
        return isinstance(self.judgement, Judgement) and self.judgement.is_accepted


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolveObjective:
    """Reward ±1 for passing every public and hidden test with the last program."""

    weight: float
    group_size: int = 8
    reward_scale: float = 1.0
    max_fixes: int = 1  # 0: single-turn
    name: str = "solve"

    def load_items(self, workdir: pathlib.Path) -> list[Problem]:
        """The RL problems, with hidden tests."""
        path = workdir / "make_problems" / "rl.jsonl"
        return [from_record(record).problem for record in read_jsonl(path)]

    def collect(
        self,
        policy: Policy,
        items: Sequence[Problem],
        *,
        pool: SandboxPool,
        seed_path: tuple[int, ...],
    ) -> list[Group]:
        """One group a problem: solve, judge, then up to `max_fixes` submit-or-fix."""
        attempts = start_attempts(
            policy, items, samples=self.group_size, seed_path=(*seed_path, 0)
        )
        attempts = judge_attempts(pool, attempts)
        for turn in range(1, self.max_fixes + 1):
            attempts = fix_attempts(policy, attempts, seed_path=(*seed_path, turn))
            attempts = judge_attempts(pool, attempts)
        rollouts = iter([self._reward(attempt) for attempt in attempts])
        return [
            Group(
                objective=self.name,
                item_id=item.id,
                rollouts=tuple(next(rollouts) for _ in range(self.group_size)),
            )
            for item in items
        ]

    def _reward(self, attempt: Attempt) -> Rollout:
        is_lost = isinstance(attempt.judgement, InfraError)
        passed = float(attempt.has_passed)
        return Rollout(
            turns=attempt.turns,
            reward=None if is_lost else self.reward_scale * (2 * passed - 1),
            parts={
                "passed": passed,
                "refused": float(attempt.source is None),
                "submitted": float(attempt.is_submitted),
            },
            notes={"verdicts": render_verdicts(attempt)},
        )


def start_attempts(
    policy: Policy,
    problems: Sequence[Problem],
    *,
    samples: int,
    seed_path: tuple[int, ...],
) -> list[Attempt]:
    """`samples` first programs for each problem, problem-major, not judged yet."""
    asked = [p for p in problems for _ in range(samples)]
    queries = [
        Query(
            task="solve",
            prompt=solve.render_prompt(problem.statement, problem.public_tests),
            seed_path=(*seed_path, index // samples, index % samples),
        )
        for index, problem in enumerate(asked)
    ]
    return [
        Attempt(problem=problem, turns=(turn,), source=_parse_source(turn))
        for problem, turn in zip(asked, policy.complete(queries), strict=True)
    ]


def judge_attempts(pool: SandboxPool, attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts with judgements of every test; what stands judged is left alone.

    Early stop is off: the outputs on the public tests are the feedback of a fix.
    """
    open_ = [a for a in attempts if a.judgement is None and a.source is not None]
    judgements = judge_all(
        pool,
        ((a.problem.tests, a.problem.checker, a.source or "") for a in open_),
        early_stop=False,
    )
    judged = {id(a): j for a, j in zip(open_, judgements, strict=True)}
    return [
        dataclasses.replace(a, judgement=judged[id(a)]) if id(a) in judged else a
        for a in attempts
    ]


def fix_attempts(
    policy: Policy,
    attempts: Sequence[Attempt],
    *,
    seed_path: tuple[int, ...],
    outputs: Sequence[Sequence[str] | None] | None = None,
) -> list[Attempt]:
    """One submit-or-fix turn for each attempt that is not submitted.

    Args:
      policy: who answers.
      attempts: judged ones when `outputs` is None.
      seed_path: names the samples of this turn.
      outputs: for each attempt its stdout on every public test, as somebody predicts
        it (None: no feedback, the attempt stands). By default, what really came.
    """
    feedback = [_executed_outputs(a) for a in attempts] if outputs is None else outputs
    queries, asked = [], []
    for index, (attempt, shown) in enumerate(zip(attempts, feedback, strict=True)):
        if attempt.is_submitted or attempt.source is None or shown is None:
            continue
        problem = attempt.problem
        asked.append(index)
        queries.append(
            Query(
                task="submit_or_fix",
                prompt=submit_or_fix.render_prompt(
                    problem.statement, attempt.source, problem.public_tests, shown
                ),
                seed_path=(*seed_path, index),
            )
        )
    fixed = list(attempts)
    for index, turn in zip(asked, policy.complete(queries), strict=True):
        fixed[index] = _apply_fix(attempts[index], turn)
    return fixed


def render_verdicts(attempt: Attempt) -> str:
    """The verdicts of the standing program for people, e.g. "accepted ×8"."""
    if isinstance(attempt.judgement, Judgement):
        return " ".join(verdict.value for verdict in attempt.judgement.verdicts)
    return "not judged" if attempt.judgement is None else str(attempt.judgement)


def _apply_fix(attempt: Attempt, turn: Turn) -> Attempt:
    turns = (*attempt.turns, turn)
    answer = submit_or_fix.parse_completion(turn.text, is_truncated=turn.is_truncated)
    if submit_or_fix.is_submit(answer):
        return dataclasses.replace(attempt, turns=turns, is_submitted=True)
    # Anything else replaces the attempt, a refused completion by nothing.
    return Attempt(problem=attempt.problem, turns=turns, source=answer.value)


def _parse_source(turn: Turn) -> str | None:
    return solve.parse_completion(turn.text, is_truncated=turn.is_truncated).value


def _executed_outputs(attempt: Attempt) -> list[str] | None:
    if not isinstance(attempt.judgement, Judgement):
        return None
    problem = attempt.problem
    return [
        outcome.stdout.decode(errors="replace")
        if outcome.status.is_ok
        # A failed run has no output to compare; its kind is the feedback.
        else f"{outcome.status.value}"
        for test, outcome in zip(problem.tests, attempt.judgement.outcomes, strict=True)
        if test.visibility.value == "public" and outcome is not None
    ]
