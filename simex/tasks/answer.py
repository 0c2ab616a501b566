"""What a completion answers, or why it is refused."""

import dataclasses
import enum


class Refusal(enum.Enum):
    """Why a completion holds no answer that can be scored."""

    NO_ANSWER = "no_answer"
    SEVERAL_ANSWERS = "several_answers"  # two code blocks, two outputs
    NO_END_OF_THOUGHT = "no_end_of_thought"
    SEVERAL_THOUGHTS = "several_thoughts"  # more than one end of reasoning
    TRUNCATED = "truncated"  # the length limit came before the stop token
    NO_ROOM = "no_room"  # the prompt was too long for the policy to be asked at all


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Either a value or a refusal, never both."""

    value: str | None = None
    refusal: Refusal | None = None

    def __post_init__(self):
        if (self.value is None) == (self.refusal is None):
            raise ValueError("An Answer holds either a value or a refusal.")


def parse_tagged(
    completion: str, *, end_thought: str, start: str, end: str, is_truncated: bool
) -> Answer:
    """The text between `start` and `end` after the one `end_thought`.

    Accepted is exactly one end of thought, followed by exactly one tagged answer.
    """
    if is_truncated:
        return Answer(refusal=Refusal.TRUNCATED)
    if (ends := completion.count(end_thought)) != 1:
        several = Refusal.SEVERAL_THOUGHTS if ends else Refusal.NO_END_OF_THOUGHT
        return Answer(refusal=several)
    after = completion.split(end_thought)[1]
    if after.count(start) > 1:
        return Answer(refusal=Refusal.SEVERAL_ANSWERS)
    _, found, rest = after.partition(start)
    value, closed, _ = rest.partition(end)
    if not found or not closed:
        return Answer(refusal=Refusal.NO_ANSWER)
    return Answer(value=value)
