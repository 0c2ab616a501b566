"""The settings of self-RLEF, and what a loop leaves behind."""

import dataclasses
from typing import Any, Literal

from simex.core.errors import UserError
from simex.evals.simulation import Simulation

MAX_TURNS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixLoop:
    """How self-RLEF goes on after each program.

    Example: ``FixLoop(max_turns=3, rounds=5, min_doubt=0.8, accept="passing")`` submits
    unless at least four of five simulations find a failing test, and keeps the old
    program where most simulations of the fix fail.
    """

    max_turns: int = 2  # programs at most, the first one included
    feedback: Literal["predicted", "executed", "none"] = "predicted"
    retry: Literal["fix", "resample"] = "fix"
    """What comes after a doubted program: a fix of it, or a draw from the start."""

    rounds: int = 1  # predictions of each public test
    min_doubt: float = 0.0
    """Submit without asking where a smaller share of rounds predicts a failure. 0: the
    policy is always asked whether to submit or to fix, as in the paper."""

    accept: Literal["always", "passing", "better"] = "always"
    """Which new program replaces the old one: any answer, a refused one leaving no
    program at all (as in training); one whose rounds mostly pass every public test; or
    one with more predicted passes than the old one."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that exclude each other."""
        if not 1 <= self.max_turns <= MAX_TURNS:
            raise UserError(
                f"FixLoop.max_turns must lie in 1..{MAX_TURNS}; got {self.max_turns}."
            )
        if self.rounds < 1 or not 0 <= self.min_doubt <= 1:
            raise UserError(
                "FixLoop needs rounds >= 1 and min_doubt in 0..1; got "
                f"{self.rounds} and {self.min_doubt}."
            )
        if self.feedback == "none" and (self.min_doubt or self.accept != "always"):
            raise UserError(
                "Without feedback nothing can be doubted or preferred: FixLoop.feedback"
                "='none' needs min_doubt=0 and accept='always'."
            )

    def is_doubted(self, view: Simulation) -> bool:
        """Whether the policy is asked for another program."""
        if self.retry == "resample" and view.doubt == 0:
            return False  # nobody else could say "submit"
        return view.doubt >= self.min_doubt

    def is_accepted(self, new: Simulation, old: Simulation) -> bool:
        """Whether a new program replaces the old one."""
        match self.accept:
            case "always":
                return True
            case "passing":
                return new.doubt < 0.5
            case "better":
                return new.num_passes > old.num_passes


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopOutcome:
    """What stood after each turn; a loop that ended earlier keeps what stands.

    Example: a wrong program was replaced by a right one at turn 2, which was submitted
    at turn 3: ``right=(False, True, True)``, ``samples=(1, 2, 3)``.
    """

    problem_id: str
    right: tuple[bool, ...]  # on every test, after turn 1, 2, …
    public: tuple[bool, ...]  # on every public test
    hidden: tuple[bool, ...]  # on every hidden test; older records have none
    samples: tuple[int, ...]  # completions of the solver so far, submissions included
    predictions: tuple[int, ...]  # of the verifier so far, one a test and round
    executions: tuple[int, ...]  # public tests run so far to decide
    sources: tuple[str | None, ...]
    is_submitted: bool  # the policy said so
    composition: str = ""  # of the problem, whose twins intervals draw as one


def to_record(outcome: LoopOutcome) -> dict[str, Any]:
    """A JSON-ready dict."""
    return dataclasses.asdict(outcome)
