"""Which of a turn's tokens its advantage is given to.

A turn may carry a `fault`: the tokens of its first false statement, found by the
grounding check. What was said before it is true and what follows is built on it, so one
number for all tokens blames the true part of a wrong explanation and praises the false
part of a lucky one. The paper has no such rule; process rewards for steps of reasoning
are due to Lightman et al. (arXiv 2305.20050), with a trained judge in place of a trace.
"""

from collections.abc import Callable, Mapping

import numpy as np

Fault = tuple[int, int] | None  # token offsets [start, end) in the completion


def whole(advantage: float, num_tokens: int, fault: Fault) -> np.ndarray:
    """Every token has the advantage."""
    del fault
    return np.full(num_tokens, advantage, np.float64)


def until_and_from_fault(advantage: float, num_tokens: int, fault: Fault) -> np.ndarray:
    """Praise goes to the tokens before the fault, blame to those from it on.

    For 5 tokens with a fault at 2: advantage 1 gives [1, 1, 0, 0, 0], and -1 gives
    [0, 0, -1, -1, -1].
    """
    values = whole(advantage, num_tokens, fault)
    if fault is not None:
        spared = slice(fault[0], None) if advantage > 0 else slice(0, fault[0])
        values[spared] = 0.0
    return values


def until_and_at_fault(advantage: float, num_tokens: int, fault: Fault) -> np.ndarray:
    """As `until_and_from_fault`, and what follows the fault is nobody's.

    After a false value a true continuation is one that follows from it: those tokens
    are neither praised nor blamed. For 5 tokens with a fault [2, 3): advantage -1 gives
    [0, 0, -1, 0, 0].
    """
    values = until_and_from_fault(advantage, num_tokens, fault)
    if fault is not None:
        values[fault[1] :] = 0.0
    return values


SEGMENT_CREDITS: Mapping[str, Callable[[float, int, Fault], np.ndarray]] = {
    "whole": whole,
    "until_and_from_fault": until_and_from_fault,
    "until_and_at_fault": until_and_at_fault,
}
