"""Candidates of a problem: sampled, judged, and simulated by the policy itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import InfraError
from simex.evals.output_prediction import complete_all
from simex.evals.rankers import Candidate, program_vote
from simex.problems.problem import Problem
from simex.rollouts.attempt import Attempt, judge_attempts, start_attempts
from simex.rollouts.policy import Policy, Query
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool
from simex.tasks import predict_output
from simex.tasks.rewards import is_output_right


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedCandidate:
    """A sampled program with the judge's word and, where asked, simulated outputs."""

    problem_id: str
    source: str | None  # None: the completion held no program
    num_tokens: int
    passed_public: tuple[bool, ...]  # what running says, for each public test
    is_right: bool  # every public and hidden test
    predicted: tuple[str | None, ...] = ()  # what the policy says that it prints
    predicted_pass: tuple[bool, ...] = ()

    def as_candidate(self) -> Candidate:
        """What the rankers of best@k look at."""
        return Candidate(
            is_right=self.is_right,
            passed_public=sum(self.passed_public),
            predicted_public=(sum(self.predicted_pass),),
            num_tokens=self.num_tokens,
            # A completion without a program votes for nothing else.
            vote="" if self.source is None else program_vote(self.source),
        )


def sample_candidates(
    policy: Policy,
    problems: Sequence[Problem],
    *,
    pool: SandboxPool,
    samples: int,
    seed: int,
) -> list[JudgedCandidate]:
    """`samples` judged candidates for each problem, problem-major.

    Raises:
      InfraError: a candidate could not be judged; a score without it would be wrong.
    """
    attempts = start_attempts(policy, problems, samples=samples, seed_path=(seed, 0))
    return [as_judged(attempt) for attempt in judge_attempts(pool, attempts)]


def as_judged(attempt: Attempt) -> JudgedCandidate:
    """The judged attempt as a candidate."""
    judgement = attempt.judgement
    if isinstance(judgement, InfraError):
        raise judgement
    num_public = len(attempt.problem.public_tests)
    passed: tuple[bool, ...] = (False,) * num_public
    if isinstance(judgement, Judgement):
        passed = tuple(
            verdict.is_accepted
            for verdict, test in zip(
                judgement.verdicts, attempt.problem.tests, strict=True
            )
            if test in attempt.problem.public_tests
        )
    return JudgedCandidate(
        problem_id=attempt.problem.id,
        source=attempt.source,
        num_tokens=len(attempt.turns[-1].completion_ids),
        passed_public=passed,
        is_right=attempt.has_passed,
    )


def simulate_candidates(
    policy: Policy,
    problems: Mapping[str, Problem],
    candidates: Sequence[JudgedCandidate],
    *,
    seed: int,
    label: str,
) -> list[JudgedCandidate]:
    """The candidates with the policy's prediction for every public test.

    Equal programs of a problem are simulated once: prediction is greedy here, so they
    would get the same answer.
    """
    asked: dict[tuple[str, str], int] = {}
    queries: list[Query] = []
    for candidate in candidates:
        for test in problems[candidate.problem_id].public_tests:
            key = (candidate.source or "", test.stdin)
            if candidate.source is not None and key not in asked:
                asked[key] = len(queries)
                prompt = predict_output.render_prompt(*key)
                path = (seed, 1, len(queries))
                queries.append(
                    Query(task="predict_output", prompt=prompt, seed_path=path)
                )
    said = [
        predict_output.parse_completion(turn.text, is_truncated=turn.is_truncated)
        for turn in complete_all(policy, queries, label=label)
    ]
    values = {key: said[index].value for key, index in asked.items()}
    return [_add_simulation(c, problems[c.problem_id], values) for c in candidates]


def _add_simulation(
    candidate: JudgedCandidate,
    problem: Problem,
    values: Mapping[tuple[str, str], str | None],
) -> JudgedCandidate:
    predicted = tuple(
        values.get((candidate.source or "", test.stdin))
        for test in problem.public_tests
    )
    return dataclasses.replace(
        candidate,
        predicted=predicted,
        predicted_pass=tuple(
            value is not None
            and is_output_right(value, test.expected_stdout, checker=problem.checker)
            for value, test in zip(predicted, problem.public_tests, strict=True)
        ),
    )


def to_record(candidate: JudgedCandidate) -> dict[str, Any]:
    """A JSON-ready dict."""
    return dataclasses.asdict(candidate)


def from_record(record: Mapping[str, Any]) -> JudgedCandidate:
    """The inverse of `to_record`."""
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in record.items()
    }
    return JudgedCandidate(**fields)
