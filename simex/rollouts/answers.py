"""What a turn answers, by the parser of its task."""

from simex.rollouts.rollout import Turn
from simex.tasks import TASKS
from simex.tasks.answer import Answer, Refusal


def parse_turn(turn: Turn) -> Answer:
    """The answer of a turn, or why it is refused.

    A turn without any sampled id was never asked: its prompt left no room.
    """
    if not turn.completion_ids:
        return Answer(refusal=Refusal.NO_ROOM)
    task = TASKS[turn.task]
    return task.parse_completion(turn.text, is_truncated=turn.is_truncated)
