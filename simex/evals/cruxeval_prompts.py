"""How CRUXEval-O is asked: ids to sample from, and the answer in what came.

"shots" shows worked examples as plain text, for a model that was trained by others.
"direct" and "explain" ask a model that was fine-tuned on both kinds of completion, and
begin the completion for it: with the answer, or with the explanation.
"""

from collections.abc import Callable

from simex.nlex.layout import (
    ANSWER,
    END_ANSWER,
    END_PYTHON,
    END_THOUGHT,
    PYTHON,
    THOUGHT,
)
from simex.problems.sources.cruxeval import CruxItem
from simex.tasks import explain
from simex.tokens.chat import render_prompt
from simex.tokens.tokenizer import Tokenizer

SHOTS = (  # two functions of our own, with their values
    ("def f(n):\n    return n", "f(17)", "17"),
    ("def f(s):\n    return s + 'a'", "f('x9j')", "'x9ja'"),
)


def _few_shot_ids(tokenizer: Tokenizer, item: CruxItem) -> list[int]:
    # No "??" stands for the value here: a model that copies would answer with it.
    shots = "".join(
        f"{PYTHON}{code}{END_PYTHON}\n{ANSWER}assert {call} == {value}{END_ANSWER}\n\n"
        for code, call, value in SHOTS
    )
    head = "Complete each assertion with the value that the call returns.\n\n"
    question = f"{PYTHON}{item.code}{END_PYTHON}\n{ANSWER}assert {item.call} =="
    return tokenizer.encode(head + shots + question)


def _direct_ids(tokenizer: Tokenizer, item: CruxItem) -> list[int]:
    prompt = render_prompt(tokenizer, explain.render_prompt(item.code, item.call))
    return prompt + tokenizer.encode(f"{ANSWER}assert {item.call} ==")


def _explain_ids(tokenizer: Tokenizer, item: CruxItem) -> list[int]:
    prompt = render_prompt(tokenizer, explain.render_prompt(item.code, item.call))
    return prompt + tokenizer.encode(THOUGHT)


def _parse_direct(text: str, item: CruxItem) -> str | None:
    # Whatever follows the value is cut: the tag, or a line break where it was forgotten.
    value = text.partition(END_ANSWER)[0].strip().partition("\n")[0].strip()
    return value or None


def _parse_explained(text: str, item: CruxItem) -> str | None:
    _, found, answer = text.rpartition(END_THOUGHT)
    if not found or not answer.startswith(ANSWER):
        return None
    answer = answer.removeprefix(ANSWER).partition(END_ANSWER)[0].strip()
    value = explain.find_value(answer, item.call)
    return (answer if value is None else value) or None


Ask = Callable[[Tokenizer, CruxItem], list[int]]
Parse = Callable[[str, CruxItem], str | None]

STYLES: dict[str, tuple[Ask, Parse]] = {
    "shots": (_few_shot_ids, _parse_direct),
    "direct": (_direct_ids, _parse_direct),
    "explain": (_explain_ids, _parse_explained),
}
