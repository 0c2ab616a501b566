"""Objective 2b of RL: mend the policy's own failing programs, a group for each.

In trajectories (`rollouts.solve`) every attempt gets a fix of its own, so the fixes of a
group mend different programs, and few are asked for once most attempts pass. Here one
attempt is shown to a whole group: its rollouts differ in nothing but the fix.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

from simex.core.errors import InfraError, UserError
from simex.problems.problem import Problem, Visibility
from simex.problems.splits import refuse_file
from simex.rollouts.attempt import Attempt, fix_attempts, start_attempts
from simex.rollouts.policy import Policy
from simex.rollouts.program import read_outcomes
from simex.rollouts.rollout import End, Group, Rollout
from simex.rollouts.solve import load_problems, render_verdicts
from simex.rollouts.trajectory import report_programs
from simex.sandbox.pool import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixObjective:
    """Reward ±reward_scale for a fix that passes every public and hidden test.

    The policy writes `attempts` programs for a problem; the first that fails a public
    test is shown, with what it printed, to `group_size` fixes. Only those are trained.
    Where none fails there is nothing to mend: the programs themselves are the group, as
    many of them as it holds.
    """

    weight: float
    group_size: int = 8
    attempts: int = 2  # programs to look for a failing one among
    reward_scale: float = 1.0
    max_new_tokens: int | None = None  # of a turn; None: as the policy has it
    max_items: int | None = None  # the first ones; None: all
    problems_from: str = "make_problems"  # or "import_problems": its training split
    name: str = "fix"

    def __post_init__(self) -> None:
        """Raises UserError without attempts, or for a file in place of a stage."""
        refuse_file(self.problems_from, setting="FixObjective.problems_from")
        if self.attempts < 1:
            raise UserError(
                f"FixObjective.attempts must be at least 1; got {self.attempts}."
            )

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
        """One group a problem: fixes of one attempt, or attempts that all pass."""
        firsts = start_attempts(
            policy,
            items,
            samples=self.attempts,
            pool=pool,
            seed_path=(*seed_path, 0),
            max_new_tokens=self.max_new_tokens,
        )
        starts = range(0, len(firsts), self.attempts)
        drawn = [firsts[start : start + self.attempts] for start in starts]
        shown = [next(filter(is_failing, own), None) for own in drawn]
        fixes = iter(
            fix_attempts(
                policy,
                [a for a in shown if a is not None for _ in range(self.group_size)],
                pool=pool,
                seed_path=(*seed_path, 1),
                max_new_tokens=self.max_new_tokens,
            )
        )
        return [
            Group(
                objective=self.name,
                item_id=item.id,
                rollouts=tuple(
                    map(self._reward, own[: self.group_size])
                    if attempt is None
                    else map(self._reward, itertools.islice(fixes, self.group_size))
                ),
            )
            for item, own, attempt in zip(items, drawn, shown, strict=True)
        ]

    def _reward(self, attempt: Attempt) -> Rollout:
        """Of the attempt's last turn."""
        is_fix = len(attempt.turns) > 1
        passed = float(attempt.has_passed)
        is_lost = isinstance(attempt.judgement, InfraError)
        # Where there was no room to ask for a fix, the last turn is of no fix.
        has_room = attempt.end is not End.NO_ROOM
        return Rollout(
            turns=attempt.turns[-1:] if has_room else (),
            reward=None if is_lost else self.reward_scale * (2 * passed - 1),
            parts={
                "passed": passed,
                "refused": float(attempt.source is None),
                "asked": float(is_fix),
                **(measure_fix(attempt) if is_fix else {}),
            },
            notes={
                "verdicts": render_verdicts(attempt),
                "statement": attempt.problem.statement,
            },
            end=End.ANSWERED if attempt.end is None else attempt.end,
            refusals=tuple(refusal.value for refusal in attempt.refusals),
            programs=report_programs(attempt),
        )


def measure_fix(attempt: Attempt) -> dict[str, float]:
    """Parts of rollouts that were asked to mend something."""
    return {
        "mended": float(attempt.has_passed),
        "submitted": float(attempt.is_submitted),
    }


def is_failing(attempt: Attempt) -> bool:
    """Its program was seen to fail a public test."""
    tests = attempt.problem.tests
    return any(
        verdict is not None and not verdict.is_accepted
        for test, (verdict, _) in zip(
            tests, read_outcomes(tests, attempt.judgement), strict=True
        )
        if test.visibility is Visibility.PUBLIC
    )
