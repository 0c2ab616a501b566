"""Candidates of a problem: sampled, judged, and simulated by a verifier."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simex.core.errors import InfraError
from simex.evals.rankers import Candidate, program_vote
from simex.evals.simulation import Simulation, simulate_programs
from simex.problems.problem import Problem, Visibility
from simex.rollouts.attempt import Attempt, start_attempts
from simex.rollouts.policy import Policy
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedCandidate:
    """A sampled program with the judge's word and, where asked, simulated outputs."""

    problem_id: str
    source: str | None  # None: the completion held no program
    num_tokens: int  # of the whole completion
    passed_public: tuple[bool, ...]  # what running says, for each public test
    is_right: bool  # every public and hidden test
    predicted: tuple[tuple[str | None, ...], ...] = ()
    """What the verifier says that it prints: R rounds of all public tests."""

    predicted_pass: tuple[tuple[bool, ...], ...] = ()
    composition: str = ""  # of the problem; older records have none

    @property
    def cluster(self) -> str:
        """What intervals draw as one: problems of a composition are twins."""
        return self.composition or self.problem_id

    @property
    def simulation(self) -> Simulation:
        return Simulation(outputs=self.predicted, passes=self.predicted_pass)

    def as_candidate(self) -> Candidate:
        """What the rankers of best@k look at."""
        return Candidate(
            is_right=self.is_right,
            passed_public=sum(self.passed_public),
            predicted_public=tuple(map(sum, self.predicted_pass)),
            num_tokens=self.num_tokens,
            has_program=self.source is not None,
            vote="" if self.source is None else program_vote(self.source),
        )


def sample_candidates(
    policy: Policy,
    problems: Sequence[Problem],
    *,
    pool: SandboxPool,
    samples: int,
    seed_path: tuple[int, ...],
) -> list[JudgedCandidate]:
    """`samples` judged candidates for each problem, problem-major.

    Raises:
      InfraError: a candidate could not be judged; a score without it would be wrong.
    """
    attempts = start_attempts(
        policy, problems, samples=samples, pool=pool, seed_path=seed_path
    )
    return list(map(as_judged, attempts))


def as_judged(attempt: Attempt) -> JudgedCandidate:
    """The judged attempt as a candidate; raises InfraError where there is no verdict."""
    return JudgedCandidate(
        problem_id=attempt.problem.id,
        source=attempt.source,
        num_tokens=len(attempt.turns[-1].completion_ids),
        passed_public=passed_public(attempt),
        is_right=attempt.has_passed,
        composition=attempt.problem.composition,
    )


def passed_public(attempt: Attempt) -> tuple[bool, ...]:
    """What running says of each public test; all fail where there is no program.

    Raises:
      InfraError: the attempt could not be judged.
    """
    return _passed(attempt, is_public=True)


def passed_hidden(attempt: Attempt) -> tuple[bool, ...]:
    """The same of each hidden test."""
    return _passed(attempt, is_public=False)


def _passed(attempt: Attempt, *, is_public: bool) -> tuple[bool, ...]:
    problem, judgement = attempt.problem, attempt.judgement
    if isinstance(judgement, InfraError):
        raise judgement
    is_asked = [(t.visibility is Visibility.PUBLIC) is is_public for t in problem.tests]
    if not isinstance(judgement, Judgement):
        return (False,) * sum(is_asked)
    return tuple(
        verdict.is_accepted
        for verdict, asked in zip(judgement.verdicts, is_asked, strict=True)
        if asked
    )


def simulate_candidates(
    verifier: Policy,
    problems: Mapping[str, Problem],
    candidates: Sequence[JudgedCandidate],
    *,
    rounds: int,
    seed_path: tuple[int, ...],
) -> list[JudgedCandidate]:
    """The candidates with `rounds` predictions for every public test.

    One without a program is predicted to pass nothing; nobody is asked about it.
    """
    asked = [i for i, c in enumerate(candidates) if c.source is not None]
    programs = [
        (problems[candidates[i].problem_id], candidates[i].source or "") for i in asked
    ]
    said = simulate_programs(verifier, programs, rounds=rounds, seed_path=seed_path)
    simulations = dict(zip(asked, said, strict=True))
    return [
        _add_simulation(
            candidate, simulations.get(i) or _nothing(problems, candidate, rounds)
        )
        for i, candidate in enumerate(candidates)
    ]


def _nothing(
    problems: Mapping[str, Problem], candidate: JudgedCandidate, rounds: int
) -> Simulation:
    tests = len(problems[candidate.problem_id].public_tests)
    return Simulation(
        outputs=((None,) * tests,) * rounds, passes=((False,) * tests,) * rounds
    )


def _add_simulation(
    candidate: JudgedCandidate, simulation: Simulation
) -> JudgedCandidate:
    return dataclasses.replace(
        candidate, predicted=simulation.outputs, predicted_pass=simulation.passes
    )


def to_record(candidate: JudgedCandidate) -> dict[str, Any]:
    """A JSON-ready dict."""
    return dataclasses.asdict(candidate)


def from_record(record: Mapping[str, Any]) -> JudgedCandidate:
    """The inverse of `to_record`."""
    return JudgedCandidate(**{k: _as_tuples(v) for k, v in record.items()})


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
