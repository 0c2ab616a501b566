"""CRUXEval-O, scored as the benchmark does, and strictly beside it.

Official (arXiv 2401.03065): an answer is right if ``assert output == answer`` runs
through after the item's code, within 3 seconds; an answer that contains the item's own
call is rejected. So ``True`` passes for 1. Strict: the answer is a literal of the same
type and value; nothing is executed.
"""

from collections.abc import Sequence
from typing import Any

from simex.core.errors import InfraError
from simex.problems.sources import cruxeval
from simex.sandbox.outcome import RunRequest
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
    outcomes = pool.run_all(
        RunRequest(
            source=cruxeval.check_program(items[index], said), limits=cruxeval.LIMITS
        )
        for index, said in asked
    )
    right: set[int] = set()
    for (index, _), outcome in zip(asked, outcomes, strict=True):
        if isinstance(outcome, InfraError):
            raise outcome
        if outcome.status.is_ok:
            right.add(index)
    strict = {i for i, said in asked if cruxeval.is_strictly_right(items[i], said)}
    return [
        record | {"is_right": i in right, "is_strictly_right": i in strict}
        for i, record in enumerate(records)
    ]
