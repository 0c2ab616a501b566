"""Rollouts as JSON records, for the viewer and for people."""

from typing import Any

from simex.rollouts.rollout import Group


def to_record(group: Group) -> dict[str, Any]:
    """A JSON-ready dict with every turn's text, ids and logprobs."""
    return {
        "objective": group.objective,
        "item_id": group.item_id,
        "is_flat": group.is_flat,
        "rollouts": [
            {
                "reward": rollout.reward,
                "parts": dict(rollout.parts),
                "notes": dict(rollout.notes),
                "turns": [
                    {
                        "task": turn.task,
                        "text": turn.text,
                        "stop": turn.stop.value,
                        "prompt_ids": list(turn.prompt_ids),
                        "completion_ids": list(turn.completion_ids),
                        "logprobs": [round(float(x), 5) for x in turn.sampler_logprobs],
                    }
                    for turn in rollout.turns
                ],
            }
            for rollout in group.rollouts
        ],
    }
