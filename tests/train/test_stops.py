"""A run that is stopped or killed, at any moment, ends with the same weights."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from simex.train.checkpoint import Checkpoints

NUM_KILLS = 20
NUM_STEPS = {"sft": 60, "rl": 30, "ahead": 30}
FEW_STEPS = 20  # after the first one there are seconds enough to be stopped in


def start(job: str, folder: pathlib.Path, steps: int) -> subprocess.Popen:
    words = ["tests.sharding.one_process", job, str(folder), str(steps)]
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen) -> None:
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said.decode()


def num_lines(folder: pathlib.Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for_progress(process: subprocess.Popen, folder: pathlib.Path) -> None:
    """Until the process has written a line of its own, or has ended."""
    path, began = folder / "metrics.jsonl", time.time()
    while process.poll() is None:
        if path.exists() and path.stat().st_size and path.stat().st_mtime >= began:
            return
        time.sleep(0.01)


def wait_for_lines(
    process: subprocess.Popen, folder: pathlib.Path, number: int
) -> None:
    """Until the process has written so many lines more, or has ended."""
    first = num_lines(folder)
    while process.poll() is None and num_lines(folder) < first + number:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pathlib.Path:
    """The folder of runs that nothing stopped."""
    return tmp_path_factory.mktemp("whole")


def run_whole(job: str, whole: pathlib.Path, steps: int) -> pathlib.Path:
    folder = whole / f"{job}_{steps}"
    finish(start(job, folder, steps))
    return folder


def load_arrays(job: str, folder: pathlib.Path, steps: int) -> list[np.ndarray]:
    """Params and optimizer state after the last step."""
    import jax

    from simex.sharding.mesh import MeshConfig, make_mesh
    from simex.train.optimizer import make_optimizer
    from simex.train.state import abstract_train_state
    from tests.rl.toy import make_toy
    from tests.sharding import one_process

    model, optimizer = one_process.MODEL, one_process.OPTIMIZER
    mesh = make_mesh(MeshConfig(fsdp=2))
    if job != "sft":
        toy = make_toy(folder)
        model = toy.model
    abstract = abstract_train_state(model, make_optimizer(optimizer, mesh), mesh)
    found = Checkpoints(folder / "checkpoints").load(steps, {"state": abstract})
    return [np.asarray(leaf) for leaf in jax.tree.leaves(found["state"])]


def assert_same(job: str, steps: int, one: pathlib.Path, other: pathlib.Path) -> None:
    loaded = [load_arrays(job, folder, steps) for folder in (one, other)]
    for a, b in zip(*loaded, strict=True):
        np.testing.assert_array_equal(a, b)
    assert read_measured(one) == read_measured(other)
    ranks = [Checkpoints(folder / "checkpoints").best() for folder in (one, other)]
    assert ranks[0] is not None and ranks[0] == ranks[1]


def read_measured(folder: pathlib.Path) -> list[dict[str, float]]:
    """What was measured on held-out examples or items, by train step."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    found = [
        {k: v for k, v in line.items() if k == "step" or k.startswith("validation/")}
        for line in lines
    ]
    measured = [values for values in found if len(values) > 1]
    assert measured
    return measured


@pytest.mark.slow
def test_sigterm_saves_the_step_that_was_done(whole) -> None:
    folder = whole / "terminated"
    process = start("sft", folder, FEW_STEPS)
    wait_for_progress(process, folder)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode != 0
    done = num_lines(folder)
    assert 0 < done < FEW_STEPS
    assert Checkpoints(folder / "checkpoints").latest_step() == done
    finish(start("sft", folder, FEW_STEPS))
    assert_same("sft", FEW_STEPS, folder, run_whole("sft", whole, FEW_STEPS))


@pytest.mark.long
@pytest.mark.parametrize("job", ["sft", "rl", "ahead"])
def test_kills_at_random_moments_change_nothing(job, whole) -> None:
    draw = random.Random(0)
    folder, num_kills, deadline = whole / f"killed_{job}", 0, time.time() + 1500
    steps = NUM_STEPS[job]
    while num_kills < NUM_KILLS and time.time() < deadline:
        process = start(job, folder, steps)
        wait_for_progress(process, folder)
        wait_for_lines(process, folder, draw.randint(0, 4))  # a save is every two steps
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.communicate()
        num_kills += process.returncode == -signal.SIGKILL
        if num_lines(folder) >= steps:
            break
    finish(start(job, folder, steps))
    assert num_kills >= 3
    assert_same(job, steps, folder, run_whole(job, whole, steps))
