"""Checkpoints by orbax: the newest whole one is restored exactly, torn ones are passed.

Everything of a step lies in one directory that appears by a rename, so a kill leaves
either the whole step or none of it. This module and `orbax_settings` are
the only ones that know orbax.
"""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import v1 as ocp

from simex.core.errors import UserError
from simex.core.interrupts import signals_at_end
from simex.sharding.processes import is_first
from simex.train.array_copies import copy_arrays
from simex.train.best import Best, find_best
from simex.train.orbax_settings import (
    AlwaysSave,
    keep_last_and_best,
    process_context,
    quiet_orbax,
)
from simex.train.stored_items import (
    from_stored,
    has_arrays,
    is_iterator,
    to_stored,
    to_targets,
)
from simex.train.stored_tree import check_files, check_shapes, note_files

# What reading a damaged file raises: missing, truncated, not JSON, wrong shapes.
DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError)


class Restored(NamedTuple):
    """The step that was found, and its items under the names they were saved with."""

    step: int
    items: dict[str, Any]


class Checkpoints:
    """Numbered checkpoints in one directory.

    Example:
        checkpoints = Checkpoints(workdir / "checkpoints", keep_last=2)
        checkpoints.save(step, {"state": state, "data": iterator, "extra": {"seed": 0}})
        found = checkpoints.restore(
            {"state": abstract_train_state(config, tx, mesh), "data": iterator,
             "extra": None})
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        keep_last: int = 2,
        best_metric: str | None = None,
        keep_best: int = 1,
        is_writer: bool = False,
    ) -> None:
        """Opens or creates `directory`.

        Args:
            directory: holds one subdirectory a step.
            keep_last: how many of the newest steps survive; an old one is deleted only
                after a newer one is complete.
            best_metric: keep also the steps that are best by this metric; see `best.py`.
            keep_best: how many of those.
            is_writer: nobody else writes here now; removes what a killed save left.
        """
        quiet_orbax()
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._unfinished: tuple[int, Future[None]] | None = None
        self._best_metric = best_metric
        self._checkpointer = ocp.training.Checkpointer(
            directory.absolute(),
            context=process_context(),
            cleanup_tmp_directories=is_writer,
            save_decision_policy=AlwaysSave(),
            preservation_policy=keep_last_and_best(keep_last, best_metric, keep_best),
        )

    def save(
        self,
        step: int,
        items: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Writes one step and returns when it is on disk; overwrites the same step.

        Args:
            step: number of updates done.
            items: each is a TrainState (its params can later be loaded alone), a pytree
                of arrays and keys, an iterator with a position (grain), or JSON data.
            metrics: plain numbers, among them `best_metric` where one was named.

        Raises:
            UserError: the disk refused this step or the one begun before it.
        """
        self.wait()
        with self._naming_the_disk(step):
            self._start(step, to_stored(items), metrics).result()
            self._note(step)

    def begin_save(
        self,
        step: int,
        items: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """As `save`, but goes on in the background; without iterators.

        It returns as soon as the arrays are copied, so that they may be donated to the
        next update: to the memory of the host, since a device seldom has room for a
        second state. Whoever saves again, reads or closes waits for the step to be whole,
        and is told there what went wrong.
        """
        self.wait()
        checkpointables = to_stored(items)
        if jax.process_count() > 1 or not _are_devices_the_host():
            # Orbax copies to the host before it returns. It also has processes wait for
            # each other, so all must begin their saves in the same order.
            with self._naming_the_disk(step):
                saving = self._start(step, checkpointables, metrics)

            def finish() -> None:
                saving.result()
                self._note(step)

        else:  # the host's memory is the device's, and orbax would copy for longer
            checkpointables = copy_arrays(checkpointables)

            def finish() -> None:
                self._start(step, checkpointables, metrics).result()
                self._note(step)

        self._unfinished = (step, self._finisher.submit(finish))

    def _start(
        self,
        step: int,
        checkpointables: Mapping[str, Any],
        metrics: Mapping[str, float] | None,
    ) -> Any:
        return self._checkpointer.save_checkpointables_async(
            step,
            dict(checkpointables),
            overwrite=True,
            metrics=None if metrics is None else dict(metrics),
        )

    def _note(self, step: int) -> None:
        if is_first():
            note_files(self._step_dir(step))

    def wait(self) -> None:
        """Returns when the last step is on disk; raises UserError if it cannot be."""
        if self._unfinished is not None:
            (step, future), self._unfinished = self._unfinished, None
            with self._naming_the_disk(step):
                future.result()

    @contextlib.contextmanager
    def _naming_the_disk(self, step: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"The checkpoint of step {step} cannot be written to "
                f"{self._checkpointer.directory}: {error}. Make room or choose another "
                "directory; earlier checkpoints are untouched."
            ) from error

    def restore(self, targets: Mapping[str, Any]) -> Restored | None:
        """The newest step that can be read, or None when there is no step at all.

        Args:
            targets: for each item its abstract form: `abstract_train_state(...)`, a
                tree of `jax.ShapeDtypeStruct` with shardings, the iterator whose
                position is to be set, or None for JSON data. Items that are not named
                are not read.

        Raises:
            UserError: there are steps, and none can be read into `targets`.
        """
        errors = []
        for step in self.steps():
            try:
                return Restored(step, self.load(step, targets))
            except DAMAGE as error:
                first_line = (str(error) or type(error).__name__).splitlines()[0]
                errors.append(f"step {step}: {first_line}")
                warnings.warn(
                    f"The checkpoint of step {step} in {self._checkpointer.directory} "
                    f"cannot be read ({first_line}); trying the one before it.",
                    stacklevel=2,
                )
        if errors:
            raise UserError(
                f"No checkpoint in {self._checkpointer.directory} can be read: "
                f"{'; '.join(errors)}. If the model or the optimizer was changed, start "
                "in a new work directory."
            )
        return None

    def latest_step(self) -> int | None:
        """The number of the newest step on disk, or None."""
        return next(iter(self.steps()), None)

    def steps(self) -> list[int]:
        """The numbers of the steps on disk, the newest first."""
        return [found.step for found in self._steps()]

    def best(self, *, up_to: int | None = None) -> Best | None:
        """The best step on disk, among those to `up_to`; None: none was ranked.

        Without a `best_metric` by the one that the newest ranked step was saved with.
        """
        return find_best(
            {
                found.step: found.metrics or {}
                for found in self._steps()
                if up_to is None or found.step <= up_to
            },
            self._best_metric,
        )

    def close(self) -> None:
        """Waits for the last step and ends background threads."""
        try:
            self.wait()
        finally:
            self._finisher.shutdown()
            self._checkpointer.close()

    def _step_dir(self, step: int) -> pathlib.Path:
        return pathlib.Path(self._checkpointer.directory) / str(step)

    def _steps(self) -> list[Any]:
        """What orbax says of each step on disk, the newest first."""
        self.wait()
        self._checkpointer.reload()
        found = self._checkpointer.checkpoints
        return sorted(found, key=lambda one: one.step, reverse=True)

    def load(self, step: int, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The items of one step, as `restore` gives them; raises one of DAMAGE.

        Ctrl-C takes effect at the end: what orbax makes of it looks like damage.
        """
        abstract = to_targets(targets)
        check_files(self._step_dir(step))
        stored = self._checkpointer.checkpointables_metadata(step).metadata
        for name, target in abstract.items():
            if has_arrays(target):
                check_shapes(name, stored[name], target)
        # Iterators last: they are set in place, only once all else could be read.
        loaded: dict[str, Any] = {}
        for name in sorted(abstract, key=lambda name: is_iterator(abstract[name])):
            one = {name: abstract[name]}
            with signals_at_end():
                loaded |= self._checkpointer.load_checkpointables(step, one)
        return from_stored(loaded, targets)


def _are_devices_the_host() -> bool:
    return jax.default_backend() == "cpu"
