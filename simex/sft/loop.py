"""The supervised loop: batches in, checkpoints and metrics out."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.core.interrupts import Terminated, signals_at_end
from simex.core.metrics import MetricsLog, mean_values, refuse_infinite
from simex.core.progress import progress
from simex.data.parts import BatchParts, Share
from simex.models.config import ModelConfig
from simex.models.transformer import Params
from simex.sft.held_out import HeldOut, make_measure
from simex.sft.step import make_sft_step
from simex.sharding.compiles import num_compiles, watch_compiles
from simex.sharding.mesh import put_batch
from simex.sharding.processes import StopVotes, gather, is_first
from simex.train.best import BestSoFar, refuse_unknown_metric
from simex.train.checkpoint import Checkpoints
from simex.train.optimizer import OptimizerConfig, make_optimizer, make_schedule
from simex.train.state import TrainState, abstract_train_state, make_train_state


@dataclasses.dataclass(frozen=True, kw_only=True)
class SftConfig:
    """How long, and how often things are written."""

    num_steps: int
    steps_between_saves: int = 100
    steps_between_logs: int = 10
    num_micro_batches: int = 1  # parts of a batch, one after the other, to save memory
    keep_best: str = ""
    """The metric, such as "validation/loss", by which the best train step stays on disk
    beside the newest ones; it is saved when it is measured. Empty: none does."""

    def __post_init__(self) -> None:
        """Raises UserError for a number below 1."""
        for field in ("steps_between_saves", "steps_between_logs", "num_micro_batches"):
            if getattr(self, field) < 1:
                raise UserError(
                    f"{field} must be at least 1; got {getattr(self, field)}."
                )


def run_sft(
    folder: pathlib.Path,
    batches: BatchParts,
    *,
    config: SftConfig,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    mesh: Mesh,
    key: jax.Array,
    load_initial: Callable[[], Params] | None = None,
    held_out: HeldOut | None = None,
) -> None:
    """Trains to `config.num_steps`, from the latest checkpoint in `folder` if any.

    Args:
      folder: gets ``checkpoints/`` and ``metrics.jsonl``.
      batches: from `data.pipeline.make_batches`; their position is in the checkpoint.
      config: lengths and intervals.
      model: the decoder.
      optimizer: its `num_steps` should be that of `config`.
      mesh: the devices.
      key: of the initial params.
      load_initial: gives them instead, where there is no checkpoint to go on from.
      held_out: examples to look at on the way; they change no weight. What is measured
        after an update stands in the line of its train step.
    """
    evaluation = make_evaluation(held_out, config, model, mesh)
    tx = make_optimizer(optimizer, mesh)
    step_fn = watch_compiles(
        make_sft_step(model, tx, mesh, num_micro_batches=config.num_micro_batches),
        "train step",
        max_shapes=1,
    )
    checkpoints = Checkpoints(
        folder / "checkpoints", best_metric=config.keep_best or None, is_writer=True
    )
    found = checkpoints.restore(
        {
            "state": abstract_train_state(model, tx, mesh),
            "data": None,
            "log": None,
        }
    )
    if found is None:
        params = None if load_initial is None else load_initial()
        state = make_train_state(model, tx, mesh, key=key, params=params)
        del params
    else:
        state = found.items["state"]
        batches.set_state(found.items["data"])
    done = begin = 0 if found is None else found.step
    best = BestSoFar(config.keep_best, checkpoints.best(up_to=begin))
    recorder = make_recorder(folder, optimizer, config, first_step=begin)
    if found is not None:
        recorder.set_state(found.items["log"])
    steps = range(begin, config.num_steps)
    votes = StopVotes(lag=1)  # so that steps are still dispatched ahead of the device
    try:
        for step in progress(steps, label=folder.name, unit="step"):
            with signals_at_end():
                with recorder.waiting():
                    batch = put_share(next(batches), mesh, batches.share)
                state, metrics = step_fn(state, batch)
                done = step + 1
                is_last = done == config.num_steps
                values = evaluation(done, state.params)
                recorder.record(step, metrics, values)
                is_best = best.is_beaten_by(values)
                if done % config.steps_between_saves == 0 or is_last or is_best:
                    refuse_infinite(step, mean_values(metrics))
                    ranked = best.saved_with(values)
                    save(checkpoints, done, state, batches, recorder, ranked)
            if votes.must_stop():
                raise Terminated
    except KeyboardInterrupt:
        if checkpoints.latest_step() != done and done:
            refuse_infinite(done - 1, mean_values(metrics))
            save(checkpoints, done, state, batches, recorder)
        raise
    finally:
        checkpoints.close()


def save(
    checkpoints: Checkpoints,
    done: int,
    state: TrainState,
    batches: BatchParts,
    recorder: "_Recorder",
    ranked_by: Mapping[str, float] | None = None,
) -> None:
    """Writes a train step with the positions of all processes in the data."""
    states = batches.get_state()
    if not batches.share.is_whole:
        states = [one for own in gather(states) for one in own]
    checkpoints.begin_save(
        done,
        {"state": state, "data": states, "log": recorder.get_state()},
        metrics=ranked_by,
    )


def make_evaluation(
    held_out: HeldOut | None, config: SftConfig, model: ModelConfig, mesh: Mesh
) -> Callable[[int, Params], dict[str, float]]:
    """(train steps done, params) -> what was measured; nothing where it is not time.

    Raises UserError where `config.keep_best` is nothing that is measured.
    """
    known = [] if held_out is None else held_out.metrics
    refuse_unknown_metric(config.keep_best, known, where="keep_best")
    if held_out is None:
        return lambda done, params: {}
    measure, steps_between = make_measure(held_out, model, mesh), held_out.steps_between

    def evaluate(done: int, params: Params) -> dict[str, float]:
        if done % steps_between and done != config.num_steps:
            return {}
        return mean_values(measure(params))

    return evaluate


def put_share(
    batch: dict[str, np.ndarray], mesh: Mesh, share: Share
) -> dict[str, jax.Array]:
    """A batch on the mesh, of which this process read its share."""
    rows = len(batch["tokens"]) // share.num_read
    return put_batch(
        batch, mesh, first_row=share.first * rows, num_rows=share.num_parts * rows
    )


def make_recorder(
    folder: pathlib.Path,
    optimizer: OptimizerConfig,
    config: SftConfig,
    *,
    first_step: int,
) -> "_Recorder":
    """Writes metrics, in the first process; in others it drops them."""
    log = None
    if is_first():
        log = MetricsLog(folder / "metrics.jsonl", first_step=first_step)
    return _Recorder(log, make_schedule(optimizer), config)


class _Recorder:
    """Averages metrics between two lines of the log."""

    def __init__(self, log: MetricsLog | None, schedule: Any, config: SftConfig):
        self._log, self._schedule, self._config = log, schedule, config
        self._pending: list[Mapping[str, Sequence[Any]]] = []
        self._num_restored = 0  # of pending: measured before this process
        self._started = time.monotonic()
        self._waited_secs = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside as waiting for data."""
        begin = time.monotonic()
        yield
        self._waited_secs += time.monotonic() - begin

    def get_state(self) -> list[dict[str, list[float]]]:
        """What the next line of the log will average."""
        return [
            {name: [float(t), float(w)] for name, (t, w) in metrics.items()}
            for metrics in self._pending
        ]

    def set_state(self, pending: Sequence[Mapping[str, Sequence[float]]]) -> None:
        self._pending = list(pending)
        self._num_restored = len(self._pending)

    def record(
        self, step: int, metrics: dict, measured: Mapping[str, float] | None = None
    ) -> None:
        """Averages `metrics` into the next line; `measured` is of this step alone."""
        if self._log is None:
            return
        self._pending.append(metrics)
        measured = measured or {}
        done = step + 1
        is_last = done == self._config.num_steps
        if done % self._config.steps_between_logs and not is_last:
            if measured:
                self._log.write(step, measured)
            return
        sums: dict = {}
        for name in metrics:
            pairs = [pending[name] for pending in self._pending]
            sums[name] = (
                sum(float(t) for t, _ in pairs),
                sum(float(w) for _, w in pairs),
            )
        secs = time.monotonic() - self._started
        own = self._pending[self._num_restored :]
        num_tokens = sum(float(pending["loss"][1]) for pending in own)
        values = mean_values(sums) | {
            "learning_rate": float(self._schedule(step)),
            "steps_per_sec": len(own) / secs,
            "target_tokens_per_sec": num_tokens / secs,
            # Steps are dispatched ahead of the device, so it waits at most so long.
            "input_wait_share": self._waited_secs / secs,
            "num_compiles": num_compiles(),
        }
        self._log.write(step, {**values, **measured})
        self._pending.clear()
        self._num_restored = 0
        self._started = time.monotonic()
        self._waited_secs = 0.0
