"""Solve, simulate each public test, submit or fix: up to a number of fixes.

Context switching (METHOD 4): every turn is a prompt of its own with only what it needs,
so that a turn's prompt ids are never the ids of an earlier completion.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from simex.core.names import unknown_name
from simex.problems.problem import Problem
from simex.rollouts.answers import parse_turn
from simex.rollouts.attempt import (
    Attempt,
    executed_outputs,
    fix_attempts,
    start_attempts,
)
from simex.rollouts.feedback import PREDICTED, Feedback
from simex.rollouts.policy import Policy, Query
from simex.rollouts.program import (
    ProgramReport,
    executed_stdouts,
    is_prediction_right,
    report_program,
)
from simex.rollouts.rollout import POLICY, End, Turn
from simex.sandbox.pool import SandboxPool
from simex.tasks import predict_output
from simex.tasks.answer import Answer, Refusal
from simex.tasks.rewards import are_outputs_right, outputs_as_meant

FixWhen = Literal["always", "failing"]


def run_trajectories(
    policy: Policy,
    problems: Sequence[Problem],
    *,
    samples: int,
    max_fixes: int,
    feedback: Feedback,
    pool: SandboxPool,
    seed_path: tuple[int, ...],
    fix_when: FixWhen = "always",
    simulate_reward: float = 0.0,
    max_new_tokens: int | None = None,
) -> list[Attempt]:
    """`samples` ended and judged attempts for each problem, problem-major.

    Every program that stands is judged, whatever feedback the policy sees: the judge's
    word decides rewards and nothing else where feedback is predicted. A program is judged
    while other rows are still decoded.

    Args:
      policy: who solves and fixes; its version is the step of a feedback schedule.
      problems: what is asked.
      samples: trajectories of each problem.
      max_fixes: submit-or-fix turns at most; 0: a single turn.
      feedback: where the shown outputs come from.
      pool: the judge.
      seed_path: names the samples.
      fix_when: "failing" submits what passes every public test by its feedback without
        asking the policy.
      simulate_reward: what a simulate turn of the policy earns or loses of its own.
      max_new_tokens: a bound of every turn below the policy's own.
    """
    attempts = start_attempts(
        policy,
        problems,
        samples=samples,
        pool=pool,
        seed_path=(*seed_path, 0),
        max_new_tokens=max_new_tokens,
    )
    for fix in range(1, max_fixes + 1):
        path = (*seed_path, fix)
        attempts = _choose_feedback(policy, attempts, feedback, path)
        attempts = simulate_attempts(
            policy,
            attempts,
            verifier=feedback.verifier,
            seed_path=path,
            reward=simulate_reward,
            max_new_tokens=max_new_tokens,
        )
        outputs = [_shown_outputs(attempt) for attempt in attempts]
        if fix_when == "failing":
            attempts = list(map(_submit_what_passes, attempts, outputs))
        fixed = fix_attempts(
            policy,
            attempts,
            pool=pool,
            seed_path=path,
            outputs=outputs,
            max_new_tokens=max_new_tokens,
        )
        attempts = list(map(_remember, attempts, fixed))
    last = End.TURN_LIMIT if max_fixes else End.ANSWERED
    return [dataclasses.replace(a, end=last) if a.end is None else a for a in attempts]


def simulate_attempts(
    policy: Policy,
    attempts: Sequence[Attempt],
    *,
    verifier: str,
    seed_path: tuple[int, ...],
    reward: float = 0.0,
    max_new_tokens: int | None = None,
) -> list[Attempt]:
    """The attempts with a prediction for each public test where they need it.

    Those are the open attempts whose `feedback` is PREDICTED. Raises UserError where
    `verifier` is not among the policy's.
    """
    asked = [i for i, a in enumerate(attempts) if a.is_open and a.feedback == PREDICTED]
    queries = [
        Query(
            task="predict_output",
            prompt=predict_output.render_prompt(attempts[i].source or "", test.stdin),
            seed_path=(*seed_path, i, number),
            max_new_tokens=max_new_tokens,
        )
        for i in asked
        for number, test in enumerate(attempts[i].problem.public_tests)
    ]
    turns = iter(_predict(policy, queries, verifier))
    simulated = list(attempts)
    for i in asked:
        own = [next(turns) for _ in attempts[i].problem.public_tests]
        simulated[i] = _add_simulation(attempts[i], own, reward=reward)
    return simulated


def report_programs(attempt: Attempt) -> tuple[ProgramReport, ...]:
    """Every program that stood, with the one that stands now."""
    if attempt.source is None:
        return attempt.earlier
    standing = report_program(
        attempt.source,
        attempt.problem,
        attempt.judgement,
        feedback=attempt.feedback,
        predicted=attempt.predicted,
    )
    return (*attempt.earlier, standing)


def _remember(before: Attempt, after: Attempt) -> Attempt:
    """Keeps a report of a program that was replaced."""
    if len(after.turns) == len(before.turns) or after.is_submitted:
        return after
    return dataclasses.replace(after, earlier=report_programs(before))


def _choose_feedback(
    policy: Policy,
    attempts: Sequence[Attempt],
    feedback: Feedback,
    path: tuple[int, ...],
) -> list[Attempt]:
    step = policy.version if feedback.can_predict else 0
    return [
        dataclasses.replace(
            attempt,
            feedback=feedback.choose(fix=path[-1], step=step, path=(*path, index)),
        )
        if attempt.is_open
        else attempt
        for index, attempt in enumerate(attempts)
    ]


def _shown_outputs(attempt: Attempt) -> list[str] | None:
    if attempt.feedback == PREDICTED:
        # A refused prediction shows nothing, as it did when fixing was taught.
        meant = outputs_as_meant(attempt.problem, attempt.predicted)
        return [value or "" for value in meant]
    return executed_outputs(attempt)


def _submit_what_passes(attempt: Attempt, outputs: Sequence[str] | None) -> Attempt:
    """Submitted without a turn where all that is shown is what was expected."""
    if not attempt.is_open or outputs is None:
        return attempt
    are_stated = attempt.feedback == PREDICTED
    if are_stated and None in attempt.predicted:
        return attempt  # what was refused passes nothing, even where "" is expected
    if not all(are_outputs_right(attempt.problem, outputs, are_stated=are_stated)):
        return attempt
    return dataclasses.replace(attempt, is_submitted=True, end=End.SUBMITTED)


def _predict(policy: Policy, queries: Sequence[Query], verifier: str) -> list[Turn]:
    if not verifier or not queries:
        return policy.complete(queries) if queries else []
    if verifier not in policy.verifiers:
        raise unknown_name("verifier", verifier, policy.verifiers)
    turns = policy.verifiers[verifier].complete(queries)
    return [dataclasses.replace(turn, author=verifier) for turn in turns]


def _add_simulation(
    attempt: Attempt, turns: Sequence[Turn], *, reward: float
) -> Attempt:
    answers = [parse_turn(turn) for turn in turns]
    truths = executed_stdouts(attempt.problem.tests, attempt.judgement)
    rewarded = [
        _reward_turn(
            turn, is_prediction_right(answer.value, truth, attempt.problem), reward
        )
        for turn, answer, truth in zip(turns, answers, truths, strict=True)
    ]
    return dataclasses.replace(
        attempt,
        turns=(*attempt.turns, *rewarded),
        predicted=tuple(answer.value for answer in answers),
        refusals=(*attempt.refusals, *_refusals(answers)),
    )


def _refusals(answers: Sequence[Answer]) -> list[Refusal]:
    return [answer.refusal for answer in answers if answer.refusal is not None]


def _reward_turn(turn: Turn, is_right: bool | None, reward: float) -> Turn:
    if not reward or is_right is None or turn.author != POLICY:
        return turn
    return dataclasses.replace(turn, reward=reward if is_right else -reward)
