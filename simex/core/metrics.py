"""A run's metrics: one JSON object a train step, in a file that resuming mends."""

import json
import math
import os
import pathlib
from collections.abc import Mapping

from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_jsonl


class MetricsLog:
    """Appends to ``metrics.jsonl``; values are plain numbers.

    A metric is kept as (total, weight) while it is summed and becomes total / weight
    only here, so that averages over devices, micro-batches and hosts are exact.
    """

    def __init__(self, path: pathlib.Path, *, first_step: int = 0):
        """Opens the log and drops lines at or after `first_step`.

        Those were written by a run that was stopped after its last checkpoint; they
        are about to be written again.
        """
        self._path = path
        kept = [r for r in self._read_whole_lines() if r["step"] < first_step]
        write_jsonl(path, kept)  # whole or not at all: a kill now loses no line

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends the values of train step `step`.

        Raises:
          UserError: a value is not finite; training cannot go on from there.
        """
        refuse_infinite(step, values)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
            file.flush()

    def _read_whole_lines(self) -> list[dict]:
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        os.truncate(self._path, content.rfind(b"\n") + 1)  # a torn last line
        return list(read_jsonl(self._path))


def refuse_infinite(step: int, values: Mapping[str, float]) -> None:
    """Raises UserError where a value of train step `step` is not finite.

    Checkpoints are written only after it: of a state that came of such values none is
    worth the room of an earlier one.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise UserError(
                f"{name} must stay finite; it is {value} at train step {step}. "
                "Lower the learning rate, or look at the batch of that step."
            )


def mean_values(metrics: Mapping[str, tuple]) -> dict[str, float]:
    """total / weight of each metric; 0 where nothing was counted."""
    means: dict[str, float] = {}
    for name, (total, weight) in metrics.items():
        means[name] = float(total) / float(weight) if float(weight) else 0.0
    return means
