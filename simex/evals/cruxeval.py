"""CRUXEval-O, scored as the benchmark does, and strictly beside it.

Official (arXiv 2401.03065): an answer is right if ``assert output == answer`` runs
through after the item's code, within 3 seconds; an answer that contains the item's own
call is refused. So ``True`` passes for 1, and ``exit()`` for nothing. Strict: the
answer is a literal of the same type and value; nothing is executed.

What is refused is wrong here. With one answer an item that is the official score; with
several it differs in one point: the official scorer leaves a refused answer out where
another one to the item is right (`scoring.cruxeval_rules.settle`). `simex score
cruxeval-o` counts as it does.
"""

from collections.abc import Sequence
from typing import Any

from simex.core.errors import InfraError
from simex.evals.scoring.rules import runs_through
from simex.problems.sources import cruxeval
from simex.sandbox.judge import judge_all
from simex.sandbox.judging import JudgeItem
from simex.sandbox.literals import check_cruxeval_strict
from simex.sandbox.pool import SandboxPool


def ask_officially(item: cruxeval.CruxItem, answer: str) -> JudgeItem | None:
    """What must run to its end without an error; None for an answer that is refused."""
    if cruxeval.is_rejected(item, answer):
        return None
    return runs_through(cruxeval.check_program(item, answer), cruxeval.LIMITS)


def is_strictly_right(item: cruxeval.CruxItem, answer: str) -> bool:
    """Is the answer a literal of the same value and type as the output, all through?"""
    return check_cruxeval_strict(answer.encode("utf-8", "surrogatepass"), item.output)


def score_answers(
    pool: SandboxPool,
    items: Sequence[cruxeval.CruxItem],
    records: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The records with `is_right` by the official rule and `is_strictly_right`.

    Args:
      pool: where the official assertions run.
      items: of the benchmark.
      records: of `predict_calls` for the same items, in the same order; an answer that
        was refused is wrong.

    Raises:
      InfraError: an answer could not be run; leaving it out would change the score.
    """
    said = [record["said"] for record in records]
    asked = {
        index: question
        for index, (item, answer) in enumerate(zip(items, said, strict=True))
        if answer is not None and (question := ask_officially(item, answer)) is not None
    }
    right: set[int] = set()
    for index, judgement in zip(asked, judge_all(pool, asked.values()), strict=True):
        if isinstance(judgement, InfraError):
            raise judgement
        if judgement.is_accepted:
            right.add(index)
    return [
        record
        | {
            "is_right": i in right,
            "is_strictly_right": said[i] is not None
            and is_strictly_right(items[i], said[i]),
        }
        for i, record in enumerate(records)
    ]
