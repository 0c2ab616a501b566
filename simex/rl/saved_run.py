"""What a stopped run goes on from, all of it in one checkpoint."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.rl.collection import Collected, Cursor
from simex.rl.saved_batches import from_json, to_json
from simex.train.best import BestSoFar
from simex.train.checkpoint import Checkpoints
from simex.train.state import TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """A run between two train steps."""

    step: int  # train steps done
    state: TrainState
    cursor: Cursor = Cursor()  # in the data
    num_bad_steps: int = 0  # of the sandbox, in a row
    waiting: Sequence[Collected] = ()  # batches of the train steps to come

    @property
    def next_cursor(self) -> Cursor:
        """Where collecting goes on: after what waits."""
        return self.waiting[-1].cursor if self.waiting else self.cursor


Waiting = Callable[[int], Sequence[Collected]]
"""(train steps done) -> the batches of those to come"""


def _nothing(num_done: int) -> Sequence[Collected]:
    return ()


class SavedRun:
    """The checkpoints of a run; a step is on disk whole or not at all."""

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        steps_between: int,
        last: int,
        keep_best: str = "",
    ) -> None:
        """Saves every `steps_between` train steps, after the last, and new best ones.

        `keep_best` names the metric; the best step stays on disk.
        """
        self._checkpoints = Checkpoints(
            folder, best_metric=keep_best or None, is_writer=True
        )
        self._steps_between, self._last = steps_between, last
        self._best = BestSoFar(keep_best)
        self._keep_best = keep_best

    def load(self, abstract: TrainState) -> Progress | None:
        """The newest that can be read; None for a run that begins."""
        found = self._checkpoints.restore({"state": abstract, "extra": None})
        if found is None:
            return None
        extra: dict[str, Any] = found.items["extra"]
        before = self._checkpoints.best(up_to=found.step)
        self._best = BestSoFar(self._keep_best, before)
        return Progress(
            step=found.step,
            state=found.items["state"],
            cursor=Cursor(**extra["cursor"]),
            num_bad_steps=extra["num_bad_steps"],
            # A checkpoint of an older simex has none.
            waiting=[from_json(batch) for batch in extra.get("waiting", [])],
        )

    def save(
        self,
        progress: Progress,
        measured: Mapping[str, float] | None = None,
        *,
        waiting: Waiting = _nothing,
    ) -> None:
        """Begins to write `progress` where it is time to, or `measured` is the best.

        `waiting` is asked, where it is, for the batches of the train steps to come.
        """
        done, values = progress.step, measured or {}
        is_best = self._best.is_beaten_by(values)
        if done % self._steps_between == 0 or done == self._last or is_best:
            self._begin(progress, waiting, self._best.saved_with(values))

    def save_at_stop(self, progress: Progress, *, waiting: Waiting = _nothing) -> None:
        """Writes `progress` unless it is on disk or nothing was done yet."""
        if progress.step and self._checkpoints.latest_step() != progress.step:
            self._begin(progress, waiting)

    def _begin(
        self,
        progress: Progress,
        waiting: Waiting,
        ranked_by: Mapping[str, float] | None = None,
    ) -> None:
        extra = {
            "cursor": dataclasses.asdict(progress.cursor),
            "num_bad_steps": progress.num_bad_steps,
            "waiting": [to_json(batch) for batch in waiting(progress.step)],
        }
        self._checkpoints.begin_save(
            progress.step,
            {"state": progress.state, "extra": extra},
            metrics=ranked_by,
        )

    def __enter__(self) -> "SavedRun":  # noqa: PYI034 (beartype)
        return self

    def __exit__(self, *exception: object) -> None:
        self._checkpoints.close()
