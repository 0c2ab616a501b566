"""self-RLEF: a program is looked at, then submitted or replaced, up to a number of turns.

With predicted feedback nothing is executed to decide; the judge is asked beside it, to
measure. Executed feedback is the oracle twin, "none" shows nothing. The control spends
its samples differently: where a program is doubted it draws another first program
instead of a fix, with the same stopping rule.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from simex.core.errors import UserError
from simex.evals.candidates import JudgedCandidate, passed_hidden, passed_public
from simex.evals.fix_loop import FixLoop, LoopOutcome
from simex.evals.simulation import Simulation, simulate_programs
from simex.problems.problem import Problem
from simex.rollouts.attempt import (
    Attempt,
    executed_outputs,
    fix_attempts,
    judge_attempts,
    start_attempts,
)
from simex.rollouts.policy import Policy
from simex.rollouts.rollout import End
from simex.sandbox.pool import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _View:
    """What feedback says of a program; all fails where there is none."""

    said: Simulation
    num_predicted: int = 0  # tests that the verifier was asked about
    num_executed: int = 0  # tests that were run for it


@dataclasses.dataclass(frozen=True, kw_only=True)
class _State:
    """A program that stands, how it looks, and all that stood before it."""

    attempt: Attempt  # judged, but for a refused one
    view: _View
    outcome: LoopOutcome
    is_open: bool = True


def run_fix_loop(
    solver: Policy,
    verifier: Policy,
    problems: Mapping[str, Problem],
    candidates: Sequence[JudgedCandidate],
    *,
    pool: SandboxPool,
    loop: FixLoop,
    seed_path: tuple[int, ...],
) -> list[LoopOutcome]:
    """One outcome for each candidate, which is the program of turn 1.

    Args:
      solver: who submits, fixes or draws anew.
      verifier: who predicts.
      problems: by id.
      candidates: simulated ones, with at least `loop.rounds` rounds.
      pool: the judge.
      loop: how to go on.
      seed_path: names the samples.

    Raises:
      InfraError: a program could not be judged; a rate without it would be wrong.
    """
    look = _Looker(verifier, loop)
    firsts = judge_attempts(
        pool,
        [
            Attempt(problem=problems[c.problem_id], turns=(), source=c.source)
            for c in candidates
        ],
    )
    views = look.at_first(candidates, firsts)
    states = list(map(_first_state, firsts, views))
    for turn in range(2, loop.max_turns + 1):
        path = (*seed_path, turn)
        asked = [i for i, s in enumerate(states) if _is_asked(s, loop)]
        answers = _ask(solver, [states[i] for i in asked], pool, loop, path)
        views = list(map(_blank, answers))
        if turn < loop.max_turns or loop.accept != "always":  # else nobody would look
            views = look.at(answers, (*path, 1))
        by_index = dict(zip(asked, zip(answers, views, strict=True), strict=True))
        states = [
            _answered(state, *by_index[i], loop)
            if i in by_index
            else dataclasses.replace(
                state, outcome=_extended(state, state), is_open=False
            )
            for i, state in enumerate(states)
        ]
    return [state.outcome for state in states]


def _is_asked(state: _State, loop: FixLoop) -> bool:
    has_program = state.attempt.source is not None or loop.retry == "resample"
    return state.is_open and has_program and loop.is_doubted(state.view.said)


def _ask(
    solver: Policy,
    states: Sequence[_State],
    pool: SandboxPool,
    loop: FixLoop,
    path: tuple[int, ...],
) -> list[Attempt]:
    if not states:
        return []
    attempts = [state.attempt for state in states]
    if loop.retry == "resample":
        problems = [attempt.problem for attempt in attempts]
        return start_attempts(solver, problems, samples=1, pool=pool, seed_path=path)
    # A program that stood on after a refused fix is open all the same.
    opened = [dataclasses.replace(a, end=None, is_submitted=False) for a in attempts]
    outputs = [state.view.said.shown for state in states]
    return fix_attempts(solver, opened, pool=pool, seed_path=path, outputs=outputs)


def _answered(old: _State, answer: Attempt, view: "_View", loop: FixLoop) -> _State:
    if answer.end is End.NO_ROOM:  # nobody was asked, nor will be
        return dataclasses.replace(old, outcome=_extended(old, old), is_open=False)
    if answer.is_submitted:
        outcome = dataclasses.replace(_extended(old, old, samples=1), is_submitted=True)
        return dataclasses.replace(old, outcome=outcome, is_open=False)
    new = old
    if loop.is_accepted(view.said, old.view.said):
        new = dataclasses.replace(old, attempt=answer, view=view)
    outcome = _extended(old, new, samples=1, view=view)
    return dataclasses.replace(new, outcome=outcome)


def _first_state(attempt: Attempt, view: "_View") -> _State:
    outcome = LoopOutcome(
        problem_id=attempt.problem.id,
        right=(attempt.has_passed,),
        public=(all(passed_public(attempt)),),
        hidden=(_passes_hidden(attempt),),
        samples=(1,),
        predictions=(view.num_predicted,),
        executions=(view.num_executed,),
        sources=(attempt.source,),
        is_submitted=False,
        composition=attempt.problem.composition,
    )
    return _State(attempt=attempt, view=view, outcome=outcome)


def _extended(
    old: _State, now: _State, *, samples: int = 0, view: _View | None = None
) -> LoopOutcome:
    """The outcome of `old` with a further turn, after which `now` stands.

    The turn took so many samples and what `view` took.
    """
    before = old.outcome
    predicted, executed = (
        (view.num_predicted, view.num_executed) if view is not None else (0, 0)
    )
    return dataclasses.replace(
        before,
        right=(*before.right, now.attempt.has_passed),
        public=(*before.public, all(passed_public(now.attempt))),
        hidden=(*before.hidden, _passes_hidden(now.attempt)),
        samples=(*before.samples, before.samples[-1] + samples),
        predictions=(*before.predictions, before.predictions[-1] + predicted),
        executions=(*before.executions, before.executions[-1] + executed),
        sources=(*before.sources, now.attempt.source),
    )


def _passes_hidden(attempt: Attempt) -> bool:
    # Where a problem hides nothing a program still has to be there.
    return attempt.source is not None and all(passed_hidden(attempt))


class _Looker:
    """Looks at programs as the loop's feedback does."""

    def __init__(self, verifier: Policy, loop: FixLoop):
        self._verifier, self._loop = verifier, loop

    def at_first(
        self, candidates: Sequence[JudgedCandidate], attempts: Sequence[Attempt]
    ) -> list[_View]:
        """The candidates' own simulations where feedback is predicted."""
        if self._loop.feedback != "predicted":
            return self.at(attempts, ())
        rounds = self._loop.rounds
        if any(len(c.predicted) < rounds for c in candidates):
            raise UserError(
                f"FixLoop.rounds is {rounds}; the candidates were simulated in fewer. "
                "Raise evaluate_solving.rounds."
            )
        return [
            _predicted(c.simulation.first_rounds(rounds))
            if c.source is not None
            else _blank(attempt)
            for c, attempt in zip(candidates, attempts, strict=True)
        ]

    def at(self, attempts: Sequence[Attempt], path: tuple[int, ...]) -> list[_View]:
        """A view of each attempt."""
        views = list(map(_blank, attempts))
        if self._loop.feedback == "none":
            return views
        shown = [i for i, attempt in enumerate(attempts) if _is_new(attempt)]
        if self._loop.feedback == "executed":
            for i in shown:
                views[i] = _executed(attempts[i])
            return views
        programs = [(attempts[i].problem, attempts[i].source or "") for i in shown]
        said = simulate_programs(
            self._verifier, programs, rounds=self._loop.rounds, seed_path=path
        )
        for i, one in zip(shown, said, strict=True):
            views[i] = _predicted(one)
        return views


def _is_new(attempt: Attempt) -> bool:
    """A program stands that was not looked at before."""
    was_asked = not attempt.is_submitted and attempt.end is not End.NO_ROOM
    return bool(attempt.source) and was_asked


def _blank(attempt: Attempt) -> _View:
    tests = len(attempt.problem.public_tests)
    return _View(said=Simulation(outputs=(("",) * tests,), passes=((False,) * tests,)))


def _predicted(said: Simulation) -> _View:
    return _View(said=said, num_predicted=sum(map(len, said.outputs)))


def _executed(attempt: Attempt) -> _View:
    outputs = tuple(executed_outputs(attempt) or ())
    passes = passed_public(attempt)
    said = Simulation(outputs=(outputs,), passes=(passes,))
    return _View(said=said, num_executed=len(passes))
