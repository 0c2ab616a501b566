"""One run in one, two and four real processes on this machine: the same run."""

import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from simex.main import EXIT_TERMINATED
from simex.sharding import processes
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.train.checkpoint import Checkpoints
from simex.train.optimizer import make_optimizer
from simex.train.state import TrainState, abstract_train_state
from tests.rl.toy import load_weights, make_toy
from tests.sharding.one_process import MODEL, OPTIMIZER

NUM_STEPS = 4


def start_processes(
    num: int, job: str, folder: pathlib.Path, steps: int
) -> list[subprocess.Popen]:
    """Starts `one_process` in `num` processes that are one run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    if num > 1:
        settings |= {"SIMEX_COORDINATOR": address, "SIMEX_NUM_PROCESSES": str(num)}
    command = [sys.executable, "-m", "tests.sharding.one_process", job, folder, steps]
    return [
        subprocess.Popen(
            list(map(str, command)),
            env=settings | {"SIMEX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(num)
    ]


def run_processes(
    num: int,
    job: str,
    folder: pathlib.Path,
    steps: int,
    *,
    told: int | None = None,
    once: Callable[[], bool] = lambda: True,
) -> None:
    """Runs `one_process` in `num` processes until all have ended well.

    Or until all were stopped by SIGTERM, which process number `told` gets `once` so far.
    """
    processes = start_processes(num, job, folder, steps)
    if told is not None:
        while not once() and all(process.poll() is None for process in processes):
            time.sleep(0.05)
        processes[told].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=240)[0] for process in processes]
    for process, text in zip(processes, said):
        assert process.returncode == (0 if told is None else EXIT_TERMINATED), text


def read_metric(folder: pathlib.Path, name: str) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = map(json.loads, lines)
    return [record[name] for record in records if name in record]


def read_seen(folder: pathlib.Path) -> list[list]:
    """The tokens of each batch, the rows of all processes together."""
    files = sorted(folder.glob("seen_*.jsonl"))
    lines = [map(json.loads, path.read_text().splitlines()) for path in files]
    return [list(itertools.chain(*rows)) for rows in zip(*lines, strict=True)]


def load_state(folder: pathlib.Path) -> TrainState:
    mesh = make_mesh(MeshConfig(fsdp=2))  # neither the mesh nor the processes it had
    abstract = abstract_train_state(MODEL, make_optimizer(OPTIMIZER, mesh), mesh)
    checkpoints = Checkpoints(folder / "checkpoints")
    return checkpoints.load(NUM_STEPS, {"state": abstract})["state"]


def assert_close(
    one: TrainState, other: TrainState, *, params_atol: float = 1e-5
) -> None:
    """Equal to 1e-5, but for params whose gradient is rounding alone.

    The examples repeat one token, so attention has nothing to choose between: queries
    and keys have gradients of 1e-10, and Adam makes whole steps of their noise. Their
    moments are compared like all others.
    """

    def compare(x: Any, y: Any, atol: float = 1e-5) -> None:
        np.testing.assert_allclose(x, y, atol=atol)

    def compare_params(squares: Any, x: Any, y: Any) -> None:
        if float(squares.max()) > 1e-16:
            compare(x, y, params_atol)

    jax.tree.map(compare, one.opt_state, other.opt_state)
    squares = one.opt_state[1][0].nu
    moved = [float(leaf.max()) > 1e-16 for leaf in jax.tree.leaves(squares)]
    assert sum(moved) >= 9  # of 13
    jax.tree.map(compare_params, squares, one.params, other.params)


@pytest.fixture(scope="module")
def sft_alone(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("sft") / "alone"
    run_processes(1, "sft", folder, NUM_STEPS)
    return folder


def check_sft(
    folder: pathlib.Path, alone: pathlib.Path, *, params_atol: float = 1e-5
) -> None:
    assert read_seen(folder) == read_seen(alone)
    np.testing.assert_allclose(
        read_metric(folder, "loss"), read_metric(alone, "loss"), rtol=1e-6
    )
    for name in ("validation/loss", "validation/held/loss"):
        measured = read_metric(folder, name)
        assert len(measured) == 2  # after 2 and 4 train steps
        np.testing.assert_allclose(measured, read_metric(alone, name), rtol=1e-6)
    one, other = (Checkpoints(f / "checkpoints").best() for f in (folder, alone))
    assert one is not None and other is not None and one.step == other.step
    assert_close(load_state(folder), load_state(alone), params_atol=params_atol)


def test_two_processes_train_as_one(sft_alone) -> None:
    folder = sft_alone.parent / "two"
    run_processes(2, "sft", folder, NUM_STEPS)
    check_sft(folder, sft_alone)


@pytest.mark.long
def test_four_processes_train_as_one(sft_alone) -> None:
    folder = sft_alone.parent / "four"
    run_processes(4, "sft", folder, NUM_STEPS)
    # Sums of four parts round otherwise than of one, and a step of Adam is 0.01 however
    # small the gradient: one of 16,384 embeddings was seen to differ by 2.2e-5.
    check_sft(folder, sft_alone, params_atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2), (2, 4)])
def test_another_number_of_processes_continues(sft_alone, first, then) -> None:
    folder = sft_alone.parent / f"{first}_then_{then}"
    run_processes(first, "sft", folder, 2)
    run_processes(then, "sft", folder, NUM_STEPS)
    np.testing.assert_allclose(
        read_metric(folder, "loss"), read_metric(sft_alone, "loss"), rtol=1e-6
    )
    assert_close(load_state(folder), load_state(sft_alone))


@pytest.mark.long
def test_two_processes_learn_by_reinforcement_as_one(tmp_path) -> None:
    for num, name in ((1, "alone"), (2, "two"), (4, "four")):
        run_processes(num, "rl", tmp_path / name, NUM_STEPS)
    lesson = make_toy(tmp_path)
    for name in ("two", "four"):
        for metric in ("loss", "toy/reward"):
            np.testing.assert_allclose(
                read_metric(tmp_path / name, metric),
                read_metric(tmp_path / "alone", metric),
                rtol=1e-6,
            )
        for metric in ("validation/reward", "validation/tokens"):
            measured = read_metric(tmp_path / name, metric)
            assert len(measured) == 2  # after 2 and 4 train steps
            assert measured == read_metric(tmp_path / "alone", metric)
        best = [
            Checkpoints(tmp_path / n / "checkpoints").best() for n in (name, "alone")
        ]
        assert best[0] is not None and best[0] == best[1]
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-6),
            load_weights(tmp_path / name, lesson),
            load_weights(tmp_path / "alone", lesson),
        )


@pytest.mark.long
@pytest.mark.parametrize("job", ["sft", "rl"])
def test_sigterm_to_one_process_stops_all_after_the_same_train_step(
    tmp_path, job
) -> None:
    folder = tmp_path / "told"

    def has_begun() -> bool:
        path = folder / "metrics.jsonl"
        return path.exists() and len(path.read_text().splitlines()) >= 3

    run_processes(2, job, folder, 2000, told=1, once=has_begun)
    done = len(read_metric(folder, "loss"))
    assert 3 <= done < 2000
    assert Checkpoints(folder / "checkpoints").latest_step() == done


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_sigterm_to_one_process_stops_a_stage_that_the_first_does_alone(
    tmp_path, told
) -> None:
    folder = tmp_path / "nap"
    begin = time.monotonic()
    run_processes(2, "nap", folder, 600, told=told, once=(folder / "asleep").exists)
    assert time.monotonic() - begin < 120


@pytest.mark.slow
def test_where_the_first_process_fails_those_that_wait_for_it_say_so(tmp_path) -> None:
    begin = time.monotonic()
    processes = start_processes(2, "fail", tmp_path / "failed", 0)
    first, second = (process.communicate(timeout=240)[0] for process in processes)
    assert "UserError: no such file" in first
    assert "UserError: All processes of a run must come to its end" in second
    # jax aborts who is left waiting, by a signal, after 300 s.
    assert [process.returncode for process in processes] == [1, 1]
    assert time.monotonic() - begin < 120


def test_gathered_values_come_in_few_sizes_each_of_which_compiles_once(
    monkeypatch,
) -> None:
    sizes = []

    def both(array):
        sizes.append(array.size)
        return np.stack([array, array])

    monkeypatch.setattr(processes, "num_processes", lambda: 2)
    monkeypatch.setattr(processes.multihost_utils, "process_allgather", both)
    for length in range(100, 400, 25):
        assert processes.gather("x" * length) == ["x" * length] * 2
    # Pickled, a text of so many letters is some bytes more.
    assert set(sizes) == {1, 128, 256, 512}  # 1: how many bytes there are
