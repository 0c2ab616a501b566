"""Which part of a trajectory's advantage each of its turns gets.

The paper leaves this open (METHOD 4). A rule takes the number of submit-or-fix turns
that come after a turn and gives that turn's credit.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.rollouts.rollout import Turn

FIX_TASK = "submit_or_fix"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreditConfig:
    """How a return is handed to turns."""

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


def give_credit(turns: Sequence[Turn], config: CreditConfig) -> tuple[Turn, ...]:
    """The turns of one trajectory with their credit.

    For turns solve, simulate, fix, simulate, fix the fixes to come are 2, 2, 1, 1, 0:
    "discounted" with 0.5 gives 0.25, 0.25, 0.5, 0.5, 1.
    """
    rule = CREDIT_RULES[config.rule]
    credited: list[Turn] = []
    fixes_after = 0
    for turn in reversed(turns):
        credit = rule(fixes_after, config)
        if config.simulate_reward > 0 and turn.task == "predict_output":
            credit = 0.0
        credited.append(dataclasses.replace(turn, credit=credit))
        fixes_after += turn.task == FIX_TASK
    return tuple(reversed(credited))


def _shared(fixes_after: int, config: CreditConfig) -> float:
    return 1.0


def _last_turn(fixes_after: int, config: CreditConfig) -> float:
    return float(fixes_after == 0)


def _discounted(fixes_after: int, config: CreditConfig) -> float:
    return config.discount**fixes_after


CREDIT_RULES: Mapping[str, Callable[[int, CreditConfig], float]] = {
    "shared": _shared,
    "last_turn": _last_turn,
    "discounted": _discounted,
}
