"""CRUXEval-O, scored as the benchmark does, and strictly beside it.

Official (arXiv 2401.03065): an answer is right if ``assert output == answer`` runs
through after the item's code, within 3 seconds; an answer that contains the item's own
call is rejected. So ``True`` passes for 1, and ``exit()`` for nothing. Strict: the answer is a literal of the same
type and value; nothing is executed.
"""

from collections.abc import Sequence
from typing import Any

from simex.core.errors import InfraError
from simex.evals.scoring.rules import runs_through
from simex.problems.sources import cruxeval
from simex.sandbox.judge import judge_all
from simex.sandbox.pool import SandboxPool


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
    asked = [
        (index, record["said"])
        for index, (item, record) in enumerate(zip(items, records, strict=True))
        if record["said"] is not None and not cruxeval.is_rejected(item, record["said"])
    ]
    checks = (
        runs_through(cruxeval.check_program(items[index], said), cruxeval.LIMITS)
        for index, said in asked
    )
    right: set[int] = set()
    for (index, _), judgement in zip(asked, judge_all(pool, checks), strict=True):
        if isinstance(judgement, InfraError):
            raise judgement
        if judgement.is_accepted:
            right.add(index)
    strict = {i for i, said in asked if cruxeval.is_strictly_right(items[i], said)}
    return [
        record | {"is_right": i in right, "is_strictly_right": i in strict}
        for i, record in enumerate(records)
    ]
