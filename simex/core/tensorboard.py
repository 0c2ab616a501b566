"""Metrics for TensorBoard, beside ``metrics.jsonl`` and never instead of it."""

import pathlib
from collections.abc import Mapping

from simex.core.errors import UserError


class TensorBoardLog:
    """Writes each number of a train step as a scalar; needs the tensorboardX package."""

    def __init__(self, folder: pathlib.Path, *, first_step: int = 0) -> None:
        """Opens the log; TensorBoard forgets what was written from `first_step` on.

        Raises:
          UserError: tensorboardX is not installed.
        """
        try:
            # Here, since a run without TensorBoard must not need it.
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise UserError(
                "A TensorBoard log needs the package tensorboardX, which is not "
                "installed. Install simex[tensorboard], or turn the log off; "
                "metrics.jsonl holds the same numbers."
            ) from error
        self._writer = SummaryWriter(
            str(folder), purge_step=first_step if first_step else None
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the numbers of train step `step`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Ends the writer's thread."""
        self._writer.close()
