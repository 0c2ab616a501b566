"""What a run writes while it trains: metrics, recorded rollouts, a line a step."""

import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simex.core.files import write_jsonl
from simex.core.metrics import MetricsLog
from simex.core.tensorboard import TensorBoardLog
from simex.rl.console import render_line
from simex.rl.run_metrics import SandboxMeter, measure_batch, measure_speed
from simex.rl.stream import Taken
from simex.rollouts.objective import Objective
from simex.rollouts.record import to_record
from simex.rollouts.rollout import Group, Turn
from simex.sharding.compiles import num_compiles
from simex.sharding.processes import is_first


class RunLog:
    """Gathers the numbers of a train step and writes them when it ends."""

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        first_step: int,
        num_steps: int,
        objectives: Sequence[tuple[Objective, Sequence[Any]]],
        pool: Any,
        groups_recorded: int,
        has_tensorboard: bool,
        groups_scored: int = 0,
        make_record: Callable[..., Mapping[str, Any]] = to_record,
    ) -> None:
        """Opens ``metrics.jsonl``; lines of steps to come are dropped.

        Args:
          folder: of the stage.
          first_step: that is about to be made.
          num_steps: of the whole run.
          objectives: each with its items.
          pool: the sandbox, asked for its figures once a step.
          groups_recorded: of each objective, each step, in ``rollouts/``.
          has_tensorboard: write ``tensorboard/`` too.
          groups_scored: of those recorded, how many get the trainer's logprobs.
          make_record: (group, trainer_logprobs=...) -> what is written of it.
        """
        self._folder, self._num_steps = folder, num_steps
        self._first_step, self._groups_recorded = first_step, groups_recorded
        self._groups_scored, self._make_record = groups_scored, make_record
        self._scored: dict[int, np.ndarray] = {}  # by id() of a turn of this step
        self._num_items = {o.name: len(items) for o, items in objectives}
        self._metrics = (
            MetricsLog(folder / "metrics.jsonl", first_step=first_step)
            if is_first()
            else None
        )
        self._tensorboard = (
            TensorBoardLog(folder / "tensorboard", first_step=first_step)
            if has_tensorboard and is_first()
            else None
        )
        self._sandbox = SandboxMeter(pool)
        self._num_compiles = num_compiles()
        self._opened = self._started = self._marked = time.monotonic()
        self._times: dict[str, float] = {
            "time/save_secs": 0.0,
            "time/validation_secs": 0.0,
        }

    def mark(self, phase: str) -> None:
        """The phase that ends now began where the last one ended."""
        now = time.monotonic()
        self._times[f"time/{phase}_secs"] = now - self._marked
        self._marked = now

    def score(
        self,
        groups: Sequence[Group],
        score_turns: Callable[[Sequence[Turn]], Sequence[np.ndarray]],
    ) -> None:
        """Keeps what the params that are about to be updated say of recorded turns."""
        turns = [
            turn
            for group in self._first_groups(groups, self._groups_scored)
            for rollout in group.rollouts
            for turn in rollout.turns
            if turn.is_trained
        ]
        found = score_turns(turns)
        self._scored = {id(t): v for t, v in zip(turns, found, strict=True)}

    def write(self, step: int, taken: Taken, values: Mapping[str, float]) -> None:
        """Ends train step `step`: its numbers, its rollouts, its line.

        Of several processes the first writes; figures of the sandbox are its own.

        Raises:
          UserError: a value is not finite.
        """
        now = time.monotonic()
        compiles = num_compiles()
        every = dict(values)
        every |= measure_batch(taken, step=step, num_items=self._num_items)
        every |= measure_speed(taken.batch, now - self._started)
        every |= self._sandbox.take() | self._times
        every |= {
            "time/step_secs": now - self._started,
            "time/collect_secs": taken.batch.secs,
            "time/judge_wait_secs": taken.batch.judge_wait_secs,
            "compile/count": compiles - self._num_compiles,
        }
        if self._metrics is not None:
            self._metrics.write(step, every)
            self._record(step, taken.batch.groups)
            self._say(step, every)
        if self._tensorboard is not None:
            self._tensorboard.write(step, every)
        self._num_compiles = compiles
        self._started = self._marked = now
        self._times = {"time/save_secs": 0.0, "time/validation_secs": 0.0}

    def __enter__(self) -> "RunLog":  # noqa: PYI034 (beartype)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _record(self, step: int, groups: Sequence[Group]) -> None:
        write_jsonl(
            self._folder / "rollouts" / f"step_{step:05d}.jsonl",
            (
                self._make_record(
                    group, trainer_logprobs=lambda turn: self._scored.get(id(turn))
                )
                for group in self._first_groups(groups, self._groups_recorded)
            ),
        )
        self._scored = {}

    def _first_groups(self, groups: Sequence[Group], number: int) -> list[Group]:
        """The first `number` groups of each objective."""
        kept: list[Group] = []
        for name in self._num_items:
            kept += [group for group in groups if group.objective == name][:number]
        return kept

    def _say(self, step: int, values: Mapping[str, float]) -> None:
        done_here = step + 1 - self._first_step
        secs_a_step = (time.monotonic() - self._opened) / done_here
        line = render_line(
            self._folder.name,
            step,
            self._num_steps,
            objectives=tuple(self._num_items),
            values=values,
            secs_left=secs_a_step * (self._num_steps - step - 1),
        )
        print(line, file=sys.stderr, flush=True)
