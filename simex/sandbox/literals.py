"""Checkers for answers that are written as a value of Python, as in CRUXEval.

The benchmark itself runs ``assert <output> == <answer>`` (arXiv 2401.03065); see
`problems.sources.cruxeval.check_program`, which does just that inside the box and lets
any expression through. These two decide without running anything, on literals: the
first as `==` would, so that True answers 1 and 2.0 answers 2; the second wants the same
type everywhere, and tells 0.0 from -0.0. A list is no tuple in either.
"""

import ast
from typing import Any

from simex.sandbox.results import EXACT_RULE, ExpectedResult
from simex.sandbox.wire import encode_value

MAX_ANSWER_CHARS = 10_000
_NOT_A_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


def check_cruxeval(printed: bytes, expected: str) -> bool:
    """Is what was printed a literal that is equal to the expected one?

    Example: ``[True, 2.0]`` answers ``[1, 2]``; ``(1, 2)`` does not.
    """
    try:
        answer = _parse_answer(printed)
        encode_value(answer)  # nothing but builtin values, and not too deep
        return answer == ast.literal_eval(expected)
    except _NOT_A_LITERAL:
        return False


def check_cruxeval_strict(printed: bytes, expected: str) -> bool:
    """Is what was printed a literal of the same value and the same types?"""
    try:
        text = encode_value(_parse_answer(printed))
        wanted = ExpectedResult(ast.literal_eval(expected))
    except _NOT_A_LITERAL:
        return False
    return wanted.find_fault(text, EXACT_RULE) is None


def _parse_answer(printed: bytes) -> Any:
    if len(printed) > MAX_ANSWER_CHARS:
        raise ValueError("an answer is short")
    return ast.literal_eval(printed.decode("utf-8").strip())
