"""Attempts at a problem: a first program, its judgement, and submit-or-fix turns."""

import dataclasses
import functools
from collections.abc import Generator, Iterable, Sequence

from simex.core.errors import InfraError
from simex.problems.problem import Problem, Visibility
from simex.rollouts.answers import parse_turn
from simex.rollouts.beside import Beside
from simex.rollouts.policy import Policy, Query
from simex.rollouts.program import ProgramReport
from simex.rollouts.rollout import End, Turn
from simex.sandbox.judge import JudgeItem, judge_all
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool
from simex.sharding.processes import gather, spread
from simex.tasks import solve, submit_or_fix
from simex.tasks.answer import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A trajectory in the making: its turns so far and the program that stands.

    Example: after solve and one fix that replaced the program there are two turns,
    `source` is the second program and `earlier` reports the first.
    """

    problem: Problem
    turns: tuple[Turn, ...]
    source: str | None  # None: the last completion held no program
    judgement: Judgement | InfraError | None = None
    is_submitted: bool = False
    end: End | None = None  # None: further turns may follow
    refusals: tuple[Refusal, ...] = ()
    feedback: str = ""  # feedback.EXECUTED or PREDICTED, once chosen for this program
    predicted: tuple[str | None, ...] = ()
    """What somebody says that the program prints, for each public test; None where the
    prediction was refused; empty where nobody was asked."""

    earlier: tuple[ProgramReport, ...] = ()

    @property
    def has_passed(self) -> bool:
        return isinstance(self.judgement, Judgement) and self.judgement.is_accepted

    @property
    def is_open(self) -> bool:
        """A program stands and may still be fixed."""
        return self.end is None and self.source is not None and not self.is_submitted

    @property
    def is_to_be_judged(self) -> bool:
        """A program stands of which nobody has said whether it is right."""
        return self.judgement is None and self.source is not None


def start_attempts(
    policy: Policy,
    problems: Sequence[Problem],
    *,
    samples: int,
    pool: SandboxPool,
    seed_path: tuple[int, ...],
    max_new_tokens: int | None = None,
) -> list[Attempt]:
    """`samples` first programs for each problem, problem-major and judged."""
    asked = [p for p in problems for _ in range(samples)]
    queries = [
        Query(
            task="solve",
            prompt=solve.render_prompt(problem.statement, problem.public_tests),
            seed_path=(*seed_path, index // samples, index % samples),
            max_new_tokens=max_new_tokens,
        )
        for index, problem in enumerate(asked)
    ]
    empty = [Attempt(problem=problem, turns=(), source=None) for problem in asked]
    return _add_answers(policy, queries, empty, pool)


def judge_attempts(pool: SandboxPool, attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts with judgements of every test; what stands judged is left alone."""
    open_ = [attempt for attempt in attempts if attempt.is_to_be_judged]
    judgements = spread(open_, lambda own: list(_judge(pool, own)))
    judged = {id(a): j for a, j in zip(open_, judgements, strict=True)}
    return [
        dataclasses.replace(a, judgement=judged[id(a)]) if id(a) in judged else a
        for a in attempts
    ]


def fix_attempts(
    policy: Policy,
    attempts: Sequence[Attempt],
    *,
    pool: SandboxPool,
    seed_path: tuple[int, ...],
    outputs: Sequence[Sequence[str] | None] | None = None,
    max_new_tokens: int | None = None,
) -> list[Attempt]:
    """One submit-or-fix turn for each attempt that is open; new programs are judged.

    Args:
      policy: who answers.
      attempts: judged ones when `outputs` is None.
      pool: the judge.
      seed_path: names the samples of this turn.
      outputs: for each attempt its stdout on every public test, as somebody predicts
        it (None: no feedback, the attempt ends). By default, what really came.
      max_new_tokens: a bound below the policy's own.
    """
    if outputs is None:
        outputs = [executed_outputs(attempt) for attempt in attempts]
    fixed, queries, asked = list(attempts), [], []
    for index, (attempt, shown) in enumerate(zip(attempts, outputs, strict=True)):
        if not attempt.is_open:
            continue
        if shown is None:
            fixed[index] = dataclasses.replace(attempt, end=End.NO_FEEDBACK)
            continue
        asked.append(index)
        problem = attempt.problem
        prompt = submit_or_fix.render_prompt(
            problem.statement, attempt.source or "", problem.public_tests, shown
        )
        path = (*seed_path, index)
        queries.append(
            Query(
                task="submit_or_fix",
                prompt=prompt,
                seed_path=path,
                max_new_tokens=max_new_tokens,
            )
        )
    answered = _add_answers(policy, queries, [attempts[i] for i in asked], pool)
    for index, attempt in zip(asked, answered, strict=True):
        fixed[index] = attempt
    return fixed


def executed_outputs(attempt: Attempt) -> list[str] | None:
    """What the program printed on each public test; None where it was not judged.

    A failed run has no output to compare; its kind, e.g. "time_limit", stands for it.
    """
    if not isinstance(attempt.judgement, Judgement):
        return None
    return [
        outcome.stdout.decode(errors="replace")
        if outcome.status.is_ok
        else outcome.status.value
        for test, outcome in zip(
            attempt.problem.tests, attempt.judgement.outcomes, strict=True
        )
        if test.visibility is Visibility.PUBLIC and outcome is not None
    ]


def _add_answers(
    policy: Policy,
    queries: Sequence[Query],
    attempts: Sequence[Attempt],
    pool: SandboxPool,
) -> list[Attempt]:
    """Each attempt with the turn of its query, judged where that is a new program.

    The judge begins with a program as soon as its row is finished, while other rows are
    still decoded. The order in which they finish changes no result.
    """
    asked: list[int] = []
    with Beside(functools.partial(_judge, pool), waits=policy.waits) as judging:

        def begin(index: int, turn: Turn) -> None:
            answered = _add_answer(attempts[index], turn)
            if answered.is_to_be_judged:
                asked.append(index)
                judging.put(answered)

        turns = policy.complete(queries, on_turn=begin)
        own = dict(zip(asked, judging.results(), strict=True))
    judged = {i: found for part in gather(own) for i, found in part.items()}
    answered = map(_add_answer, attempts, turns)
    return [
        dataclasses.replace(a, judgement=judged.get(i, a.judgement))
        for i, a in enumerate(answered)
    ]


def _judge(
    pool: SandboxPool, attempts: Iterable[Attempt]
) -> Generator[Judgement | InfraError, None, None]:
    """On every test: the outputs on the public ones are the feedback of a fix."""
    programs = (JudgeItem.of(a.problem, a.source or "") for a in attempts)
    yield from judge_all(pool, programs, early_stop=False)


def _add_answer(attempt: Attempt, turn: Turn) -> Attempt:
    turns = (*attempt.turns, turn)
    answer = parse_turn(turn)
    if answer.refusal is Refusal.NO_ROOM and attempt.source is not None:
        # Nobody was asked: that must not cost the program that stands.
        return dataclasses.replace(
            attempt, end=End.NO_ROOM, refusals=(*attempt.refusals, answer.refusal)
        )
    if turn.task == "submit_or_fix" and submit_or_fix.is_submit(answer):
        return dataclasses.replace(
            attempt, turns=turns, is_submitted=True, end=End.SUBMITTED
        )
    # Anything else replaces the attempt, a refused completion by nothing.
    return Attempt(
        problem=attempt.problem,
        turns=turns,
        source=answer.value,
        end=None if answer.refusal is None else End.REFUSED,
        refusals=(
            attempt.refusals
            if answer.refusal is None
            else (*attempt.refusals, answer.refusal)
        ),
        earlier=attempt.earlier,
    )
