"""One process of a small run: `python -m tests.sharding.one_process JOB FOLDER STEPS`.

The environment says with how many others it runs; four devices make the mesh of all.
"""

import contextlib
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from simex.core.errors import UserError
from simex.core.interrupts import Terminated
from simex.main import EXIT_TERMINATED
from simex.models.config import ModelConfig
from simex.train.optimizer import OptimizerConfig

NUM_DEVICES = 4
MODEL = ModelConfig(
    vocab_size=512,
    d_model=32,
    num_layers=1,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=16,
    d_ff=64,
)
OPTIMIZER = OptimizerConfig(name="adamw", learning_rate=0.01)


def main() -> None:
    """Trains in FOLDER until STEPS train steps are done."""
    job, folder, steps = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGTERM, _terminate)
    others = int(os.environ.get("SIMEX_NUM_PROCESSES", "1"))
    from simex.sharding.cpu import configure_compile_cache, configure_cpu_devices
    from simex.sharding.processes import Processes, join_processes

    configure_cpu_devices(NUM_DEVICES // others)
    join_processes()
    configure_compile_cache(folder.parent / "compiled")
    jobs = {"sft": train_sft, "rl": train_rl, "ahead": train_ahead}
    alone = {"nap": nap, "fail": fail}
    jobs |= alone
    try:
        with Processes().together() if job not in alone else contextlib.nullcontext():
            jobs[job](folder, steps)
    except Terminated:
        sys.exit(EXIT_TERMINATED)


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def nap(folder: pathlib.Path, steps: int) -> None:
    """A run whose only stage is one that the first process does alone."""

    def sleep(workdir: pathlib.Path) -> None:
        (workdir / "asleep").touch()
        time.sleep(steps)

    run_alone(folder, sleep)


def fail(folder: pathlib.Path, steps: int) -> None:
    """As `nap`, of a stage that fails."""

    def refuse(workdir: pathlib.Path) -> None:
        raise UserError("no such file")

    run_alone(folder, refuse)


def run_alone(folder: pathlib.Path, job: Callable[..., None]) -> None:
    """A run of one stage that the first process does alone."""
    from simex.core.config import Experiment, Stage
    from simex.core.stages import run_experiment
    from simex.sharding.processes import Processes

    stage = Stage(name="alone", job=job, arguments={})
    experiment = Experiment(
        name="alone", path=folder, stages=(stage,), cpu_devices=None, settings=()
    )
    run_experiment(experiment, folder, processes=Processes())


def train_sft(folder: pathlib.Path, steps: int) -> None:
    """Counts in four parts of the data; each batch is noted in a file."""
    from simex.core.prng import key
    from simex.data.mixture import Mixture
    from simex.data.parts import share_of
    from simex.data.pipeline import make_batches
    from simex.sft.held_out import pack_held_out
    from simex.sft.loop import SftConfig, run_sft
    from simex.sharding.mesh import MeshConfig, make_mesh
    from simex.sharding.processes import num_processes, process_number
    from tests.data.numbered import numbered_split

    share = share_of(4, process=process_number(), num_processes=num_processes())
    batches = make_batches(
        numbered_split({"count": 101}), Mixture(), batch_rows=8, seed=0, share=share
    )
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / f"seen_{process_number()}_of_{num_processes()}.jsonl"
    run_sft(
        folder,
        Noted(batches, notes),
        config=SftConfig(
            num_steps=steps,
            steps_between_saves=2,
            steps_between_logs=1,
            keep_best="validation/loss",
        ),
        model=MODEL,
        optimizer=OPTIMIZER,
        mesh=make_mesh(MeshConfig(fsdp=2, data=2)),
        key=key(0, "params"),
        held_out=pack_held_out(
            numbered_split({"held": 13}), batch_rows=8, steps_between=2
        ),
    )


class Noted:
    """Batches that leave a line in a file when they are taken."""

    def __init__(self, batches, path: pathlib.Path) -> None:
        self._batches, self._path = batches, path

    def __next__(self):
        batch = next(self._batches)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{batch['tokens'].tolist()}\n")
        return batch

    def __getattr__(self, name):
        return getattr(self._batches, name)


def train_ahead(folder: pathlib.Path, steps: int) -> None:
    """The same, one batch ahead."""
    from simex.rl.stream import Staleness

    train_rl(folder, steps, staleness=Staleness(max_steps=1))


def train_rl(folder: pathlib.Path, steps: int, **settings: Any) -> None:
    """The toy lesson; other items are asked about every second train step."""
    from simex.rl.held_out import HeldOutItems
    from simex.sharding.processes import num_processes, process_number
    from tests.rl import toy

    own = folder.parent / f"tokenizer_{process_number()}_of_{num_processes()}"
    own.mkdir(parents=True, exist_ok=True)
    lesson = toy.make_toy(own, num_devices=NUM_DEVICES)
    objective = toy.ToyObjective()
    held_out = HeldOutItems.of(
        [(objective, objective.load_items(folder), ["d", "e", "f"])],
        steps_between=2,
        max_items=3,
        samples=8,
        temperature=1.0,
        seed=0,
    )
    settings |= {"held_out": held_out, "keep_best": "validation/reward"}
    toy.train(folder, lesson, num_steps=steps, rows=16, **settings)


if __name__ == "__main__":
    main()
