"""SFT on functions, in CruxEval's chain-of-thought layout (arXiv 2401.03065)."""

from simex.nlex.layout import (
    ANSWER,
    END_ANSWER,
    END_PYTHON,
    END_THOUGHT,
    PYTHON,
    THOUGHT,
)
from simex.tasks.answer import Answer, Refusal, parse_tagged


def render_prompt(source: str, call: str) -> str:
    """The prompt for the value of `call` after `source` ran."""
    code = source.strip("\n")
    return f"{PYTHON}{code}\nassert {call} == ??{END_PYTHON}"


def render_target(thought: str, call: str, value: str) -> str:
    """A right completion for `call`, whose value has the Python text `value`."""
    return (
        f"{THOUGHT}{thought}{END_THOUGHT}"
        f"{ANSWER}assert {call} == {value.rstrip()}{END_ANSWER}"
    )


def parse_completion(
    completion: str, *, call: str = "", is_truncated: bool = False
) -> Answer:
    """The Python text that the completion says `call` equals."""
    answer = parse_tagged(
        completion,
        end_thought=END_THOUGHT,
        start=ANSWER,
        end=END_ANSWER,
        is_truncated=is_truncated,
    )
    if answer.value is None:
        return answer
    value = find_value(answer.value, call)
    return Answer(refusal=Refusal.NO_ANSWER) if value is None else Answer(value=value)


def find_value(answer: str, call: str) -> str | None:
    """What an answer `assert CALL == VALUE` says that `call` equals; None: nothing.

    Call and value may both hold " == ", as `f('a == b')` does. Where another call is
    written than was asked for, or none is known, the last one counts.
    """
    known = f"assert {call} =="
    if answer.strip().startswith(known):
        return answer.strip().removeprefix(known).strip()
    _, found, value = answer.rpartition(" == ")
    return value.strip() if found else None
