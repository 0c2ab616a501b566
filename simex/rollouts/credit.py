"""Which part of a trajectory's advantage each of its turns gets.

The paper leaves this open (METHOD 4). A rule takes a turn and the number of
submit-or-fix turns that come after it, and gives that turn's credit. The rule "gain" pays
each program by itself instead: a first one for being right, a fix for what it changed. The
gains of a trajectory add up to its reward, yet a first program is neither blamed nor
praised for what a fix made of it.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.rollouts.rollout import Turn

FIX_TASK = "submit_or_fix"
PROGRAM_TASKS = ("solve", FIX_TASK)
GAIN = "gain"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreditConfig:
    """How a return is handed to turns.

    With "gain" turns that write programs are paid by what is known of the programs alone: a
    penalty of length in the trajectory's return does not reach them, and a group whose
    trajectories end alike still teaches, though metrics call it flat.
    """

    rule: str = "shared"  # a name in CREDIT_RULES
    discount: float = 0.9  # of "discounted", for each later submit-or-fix turn
    simulate_reward: float = 0.0
    """Above 0, a simulate turn inside a trajectory earns plus or minus this for
    predicting what really came, and takes no part in the trajectory's return."""

    def __post_init__(self) -> None:
        """Raises UserError for an unknown rule or a number outside its range."""
        if self.rule not in CREDIT_RULES:
            raise unknown_name("credit rule", self.rule, CREDIT_RULES)
        if not 0 <= self.discount <= 1:
            raise UserError(f"discount must lie in 0..1; got {self.discount}.")
        if not self.simulate_reward >= 0:
            raise UserError(
                f"simulate_reward must be at least 0; got {self.simulate_reward}."
            )


def give_credit(
    turns: Sequence[Turn],
    config: CreditConfig,
    *,
    standing: Sequence[bool | None] = (),
    scale: float = 1.0,
) -> tuple[Turn, ...]:
    """The turns of one trajectory with their credit.

    For turns solve, simulate, fix, simulate, fix the fixes to come are 2, 2, 1, 1, 0:
    "discounted" with 0.5 gives 0.25, 0.25, 0.5, 0.5, 1.

    Args:
      turns: in their order.
      config: the rule.
      standing: for "gain": whether the program that stands after each solve and
        submit-or-fix turn is right; None where a fault of ours hides it.
      scale: of the trajectory's reward, which is plus or minus it.

    Raises:
      ValueError: "gain" without a word on each of those turns.
    """
    rule = CREDIT_RULES[config.rule]
    if config.rule == GAIN:
        turns = _with_gains(turns, standing, scale)
    credited: list[Turn] = []
    fixes_after = 0
    for turn in reversed(turns):
        credit = rule(turn, fixes_after, config)
        if config.simulate_reward > 0 and turn.task == "predict_output":
            credit = 0.0
        credited.append(dataclasses.replace(turn, credit=credit))
        fixes_after += turn.task == FIX_TASK
    return tuple(reversed(credited))


def _with_gains(
    turns: Sequence[Turn], standing: Sequence[bool | None], scale: float
) -> list[Turn]:
    """Each program's turn earns what it adds to what stood before it.

    With scale 1 a first program earns 1 or -1; a fix earns 2 for mending, -2 for
    breaking and 0 for changing nothing. The sum is the reward of the trajectory. What
    is not known earns None, which takes no part in any baseline.
    """
    programs = [i for i, turn in enumerate(turns) if turn.task in PROGRAM_TASKS]
    paid, before = list(turns), 0.0
    for i, is_right in zip(programs, standing, strict=True):
        value = math.nan if is_right is None else scale * (1.0 if is_right else -1.0)
        gain = value - before
        paid[i] = dataclasses.replace(
            paid[i], reward=None if math.isnan(gain) else gain
        )
        before = value
    return paid


def _shared(turn: Turn, fixes_after: int, config: CreditConfig) -> float:
    return 1.0


def _last_turn(turn: Turn, fixes_after: int, config: CreditConfig) -> float:
    return float(fixes_after == 0)


def _discounted(turn: Turn, fixes_after: int, config: CreditConfig) -> float:
    return config.discount**fixes_after


def _unless_paid(turn: Turn, fixes_after: int, config: CreditConfig) -> float:
    return float(turn.task not in PROGRAM_TASKS)


CREDIT_RULES: Mapping[str, Callable[[Turn, int, CreditConfig], float]] = {
    "shared": _shared,
    "last_turn": _last_turn,
    "discounted": _discounted,
    GAIN: _unless_paid,
}
