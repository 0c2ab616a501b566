"""Objective 2 of RL: solve a problem, and submit or fix the attempt after feedback."""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence

from simex.core.errors import InfraError
from simex.core.names import unknown_name
from simex.problems.problem import Problem
from simex.problems.solvable import load_solvable
from simex.problems.splits import problems_path, refuse_file
from simex.rollouts.attempt import Attempt
from simex.rollouts.credit import PROGRAM_TASKS, CreditConfig, give_credit
from simex.rollouts.feedback import Feedback
from simex.rollouts.policy import Policy
from simex.rollouts.program import ProgramReport
from simex.rollouts.rollout import End, Group, Rollout
from simex.rollouts.trajectory import FixWhen, report_programs, run_trajectories
from simex.sandbox.outcome import Judgement
from simex.sandbox.pool import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolveObjective:
    """Reward ±reward_scale for passing every public and hidden test at the end."""

    weight: float
    group_size: int = 8
    reward_scale: float = 1.0
    max_fixes: int = 1  # 0: single-turn
    fix_when: FixWhen = "always"
    """Which attempts the policy is asked about: all, as in the paper, or those only that
    fail a public test by their feedback; the others are submitted."""

    feedback: Feedback = Feedback()
    credit: CreditConfig = CreditConfig()
    max_new_tokens: int | None = None  # of a turn; None: as the policy has it
    max_items: int | None = None  # the first ones; None: all
    problems_from: str = "make_problems"  # or "import_problems": its training split
    name: str = "solve"

    def __post_init__(self) -> None:
        """Raises UserError for an unknown `fix_when`, or a file in place of a stage."""
        refuse_file(self.problems_from, setting="SolveObjective.problems_from")
        known = typing.get_args(FixWhen)
        if self.fix_when not in known:
            raise unknown_name("SolveObjective.fix_when", self.fix_when, known)

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Stages whose checkpoints must be at hand."""
        needed = self.max_fixes and self.feedback.can_predict
        return (self.feedback.verifier,) if needed and self.feedback.verifier else ()

    def load_items(self, workdir: pathlib.Path, *, split: str = "rl") -> list[Problem]:
        """The problems of a split that can be solved, with hidden tests."""
        return load_problems(
            workdir, split, stage=self.problems_from, most=self.max_items
        )

    def collect(
        self,
        policy: Policy,
        items: Sequence[Problem],
        *,
        pool: SandboxPool,
        seed_path: tuple[int, ...],
    ) -> list[Group]:
        """One group a problem; see `trajectory.run_trajectories`."""
        attempts = run_trajectories(
            policy,
            items,
            samples=self.group_size,
            max_fixes=self.max_fixes,
            feedback=self.feedback,
            pool=pool,
            seed_path=seed_path,
            fix_when=self.fix_when,
            simulate_reward=self.credit.simulate_reward,
            max_new_tokens=self.max_new_tokens,
        )
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
        programs = report_programs(attempt)
        return Rollout(
            turns=give_credit(
                attempt.turns,
                self.credit,
                standing=_right_after_turns(attempt, programs),
                scale=self.reward_scale,
            ),
            reward=None if is_lost else self.reward_scale * (2 * passed - 1),
            parts={
                "passed": passed,
                "refused": float(attempt.source is None),
                "submitted": float(attempt.is_submitted),
                **_measure_fixing(attempt, programs),
            },
            notes={
                "verdicts": render_verdicts(attempt),
                "statement": attempt.problem.statement,
            },
            end=End.ANSWERED if attempt.end is None else attempt.end,
            refusals=tuple(refusal.value for refusal in attempt.refusals),
            programs=programs,
        )


def load_problems(
    workdir: pathlib.Path, split: str, *, stage: str, most: int | None = None
) -> list[Problem]:
    """The first problems of a split that `stage` left, as `load_solvable` has them.

    Only those with a hidden test: a reward must not be had by copying from the prompt.
    """
    path = problems_path(workdir, stage, split)
    return load_solvable(path, most=most, must_hide=True)


def render_verdicts(attempt: Attempt) -> str:
    """The verdicts of the standing program for people, e.g. "accepted accepted"."""
    if isinstance(attempt.judgement, Judgement):
        return " ".join(verdict.value for verdict in attempt.judgement.verdicts)
    return "not judged" if attempt.judgement is None else str(attempt.judgement)


def _measure_fixing(
    attempt: Attempt, programs: Sequence[ProgramReport]
) -> dict[str, float]:
    """Whether the turns after the first mended or broke it, and predicted rightly."""
    has_first = bool(programs) and not programs[0].fault
    was_right = has_first and _has_passed(programs[0])
    values = {
        "fixed": float(has_first and not was_right and attempt.has_passed),
        "broken": float(was_right and not attempt.has_passed),
    }
    known = [
        test.is_prediction_right
        for program in programs
        for test in program.tests
        if test.is_prediction_right is not None
    ]
    return values | ({"predicted_right": sum(known) / len(known)} if known else {})


def _right_after_turns(
    attempt: Attempt, programs: Sequence[ProgramReport]
) -> list[bool | None]:
    """For each turn that may write a program: whether the one that stands is right.

    A submission leaves the program before it standing, a refused answer none.
    """
    count = sum(turn.task in PROGRAM_TASKS for turn in attempt.turns)
    right = [None if p.fault else _has_passed(p) for p in programs]
    missing = count - len(right)
    return right + [right[-1] if attempt.is_submitted else False] * missing


def _has_passed(program: ProgramReport) -> bool:
    return bool(program.tests) and all(test.is_accepted for test in program.tests)
