"""What an experiment asks for that several processes cannot do together."""

from collections.abc import Sequence

from simex.core.config import Stage
from simex.core.errors import UserError


def refuse_rollouts_ahead(stages: Sequence[Stage], num_processes: int) -> None:
    """Raises UserError for RL that is to sample beside its updates in several processes.

    RL itself refuses that, but only when the stages before it are done.
    """
    for stage in stages:
        max_staleness = stage.arguments.get("max_staleness")
        if num_processes > 1 and max_staleness:
            raise UserError(
                f"{stage.name}.max_staleness must be 0 where {num_processes} processes "
                "are one run, since they collect and update in turns; it is "
                f"{max_staleness}. Set it to 0, or use one process."
            )
