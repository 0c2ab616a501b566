"""Turns, rollouts and groups written out by hand."""

import numpy as np

from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sampling.samples import Stop


def turn(prompt, completion, *, logprob=-0.5, stop=Stop.STOP_ID):
    return Turn(
        task="solve",
        prompt_ids=tuple(prompt),
        completion_ids=tuple(completion),
        sampler_logprobs=np.full(len(completion), logprob, np.float32),
        stop=stop,
        text="",
    )


def rollout(reward, *turns, passed=None):
    passed = float((reward or 0) > 0) if passed is None else passed
    parts = {"passed": passed, "refused": 0.0}
    return Rollout(turns=turns, reward=reward, parts=parts)


def group(*rollouts, objective="solve"):
    return Group(objective=objective, item_id="p", rollouts=rollouts)


MIXED = group(
    rollout(1.0, turn([2, 9, 3], [7, 4]), turn([2, 8, 3], [6, 5, 4])),
    rollout(-1.0, turn([2, 9, 3], [5, 4])),
)
PASSED = group(rollout(1.0, turn([2, 3], [4])), rollout(1.0, turn([2, 3], [4])))
FAILED = group(rollout(-1.0, turn([2], [4])), rollout(-1.0, turn([2], [4])))
