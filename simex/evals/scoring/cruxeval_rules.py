"""CRUXEval's two directions: official assertions, and stricter comparisons.

What the official scorer refuses to run is None here (an answer that holds the item's
call; for inputs, one without a call); `settle` then says what that counts.
"""

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simex.evals.cruxeval import ask_officially, is_strictly_right
from simex.evals.scoring.generations import Completion
from simex.evals.scoring.grading import Answer
from simex.evals.scoring.rules import BenchmarkItem, Question, runs_through
from simex.problems.problem import CallCase, Visibility
from simex.problems.sources import cruxeval
from simex.sandbox.call import encode_call
from simex.sandbox.judging import JudgeItem


def crux_item(record: Mapping[str, Any]) -> cruxeval.CruxItem:
    """Raises BadRecord."""
    cruxeval.parse_cruxeval(record)  # raises BadRecord
    fields = dataclasses.fields(cruxeval.CruxItem)
    return cruxeval.CruxItem(**{field.name: record[field.name] for field in fields})


def make_cruxeval_output(record: Mapping[str, Any]) -> BenchmarkItem:
    """What does the call return? Raises BadRecord."""
    item = crux_item(record)
    return BenchmarkItem(
        id=item.id,
        record=record,
        official=lambda completion: ask_officially(item, completion.text),
        strict=lambda completion: is_strictly_right(item, completion.text),
    )


def make_cruxeval_input(record: Mapping[str, Any]) -> BenchmarkItem:
    """Which call returns that? Raises BadRecord."""
    item = crux_item(record)

    def official(completion: Completion) -> Question:
        if "f(" not in completion.text:
            return None
        source = f"{item.code}\nassert {item.output} == {completion.text}"
        return runs_through(source, cruxeval.LIMITS)

    def strict(completion: Completion) -> Question:
        arguments = _arguments_of_call(completion.text)
        if arguments is None:
            return False
        test = CallCase(
            function="f",
            arguments=arguments,
            expected_result=ast.literal_eval(item.output),
            visibility=Visibility.PRIVATE,
        )
        return JudgeItem([test], "exact", item.code, cruxeval.LIMITS)

    return BenchmarkItem(id=item.id, record=record, official=official, strict=strict)


def settle(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The official answers about all generations of one item, as they count.

    Those that were refused leave the count where another one is right; where none is,
    all are wrong, so that the item counts as 0 (`evaluate_score` in
    evaluation/utils_general.py of facebookresearch/cruxeval).
    """
    if any(answer.passed for answer in answers):
        return answers
    wrong = Answer(passed=False, verdict="wrong")
    return [wrong if answer.passed is None else answer for answer in answers]


def _arguments_of_call(text: str) -> tuple[Any, ...] | None:
    """The literal arguments of a call of f; None where it is not such a call.

    None too for what no call outside can be given: an Ellipsis, a list 300 deep.
    """
    try:
        match ast.parse(text.strip(), mode="eval").body:
            case ast.Call(func=ast.Name(id="f"), args=args, keywords=[]):
                arguments = tuple(ast.literal_eval(a) for a in args)
                encode_call("f", arguments)
                return arguments
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    return None
