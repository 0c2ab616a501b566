"""The whole pipeline through the real command line, stopped once and continued."""

import importlib.util
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def command(workdir):
    words = ["run", "experiments/smoke.gin", "--workdir", str(workdir)]
    return [sys.executable, "-m", "simex.main", *words]


def environment():
    # Not the eight devices of the tests: the devices of a user's run.
    kept = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS",)}
    return kept | {"PYTHONPATH": str(ROOT)}


def run(workdir):
    return subprocess.run(
        command(workdir),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run that was killed while it trained, then continued to its end."""
    folder = tmp_path_factory.mktemp("smoke")
    first = subprocess.Popen(
        command(folder),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = folder / "nlex" / "train_sft" / "checkpoints"
    deadline = time.monotonic() + 300
    while first.poll() is None and time.monotonic() < deadline:
        if checkpoints.exists() and any(p.name == "4" for p in checkpoints.iterdir()):
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    finished = run(folder)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "make_problems: done before" in finished.stderr + finished.stdout
    return folder


def read_metrics(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_loss_falls(workdir):
    """On held-out examples, after 4 and after 8 updates: 6.13 and 5.81 were measured."""
    records = read_metrics(workdir / "nlex/train_sft/metrics.jsonl")
    losses = {r["step"]: r["validation/loss"] for r in records}
    assert list(losses) == [3, 7]
    uniform = math.log(768)  # 6.64
    assert uniform > losses[3] > losses[7] + 0.1


def test_every_train_step_stands_once_in_the_log_although_the_run_was_killed(workdir):
    steps = [r["step"] for r in read_metrics(workdir / "train_rl/metrics.jsonl")]
    assert steps == [0, 1]


def test_rewards_in_the_log_are_those_of_the_rollouts_and_nothing_was_lost(workdir):
    for record in read_metrics(workdir / "train_rl/metrics.jsonl"):
        path = workdir / f"train_rl/rollouts/step_{record['step']:05d}.jsonl"
        groups = read_metrics(path)
        # 32 rollouts in groups of 8 are all recorded; half are of each objective.
        for name in ("predict_output", "solve"):
            own = [group for group in groups if group["objective"] == name]
            rewards = [r["reward"] for group in own for r in group["rollouts"]]
            assert len(rewards) == 16
            assert record[f"{name}/reward"] == pytest.approx(sum(rewards) / 16)
            assert record[f"{name}/lost_to_infra"] == 0


def test_sampler_and_trainer_agreed_before_the_first_update(workdir):
    # The run itself stops otherwise; here the figure that it measured.
    first = read_metrics(workdir / "train_rl/metrics.jsonl")[0]
    assert abs(first["first_update/ratio"] - 1) < 1e-4
    assert first["first_update/gap_above_tolerance"] == 0


def test_results_hold_every_number_that_a_run_reports(workdir):
    from simex.report.results import REQUIRED, load_estimates

    assert set(REQUIRED) <= set(load_estimates(workdir / "results.json"))
    results = json.loads((workdir / "results.json").read_text())
    assert results["backend"] and results["device"].startswith("cpu")
    assert results["seconds"]["nlex/train_sft"] > 0


def test_the_report_is_one_page_without_network(workdir):
    page = (workdir / "report.html").read_text()
    assert "simex smoke" in page and "http" not in page.replace("http-equiv", "")


def test_every_recorded_train_step_has_its_page(workdir):
    records = sorted((workdir / "train_rl/rollouts").glob("step_*.jsonl"))
    assert records
    for record in records:
        page = record.with_suffix(".html").read_text()
        assert "<script" not in page and "://" not in page


def test_the_export_verified_itself(workdir):
    report = json.loads((workdir / "export/model/export_report.json").read_text())
    wanted = "verified"
    if not importlib.util.find_spec("torch"):
        wanted = "ids verified; logits not verified: torch is not installed"
    if not importlib.util.find_spec("transformers"):
        wanted = "not verified: transformers is not installed"
    assert report["status"] == wanted


def test_a_second_call_finds_everything_done(workdir):
    again = run(workdir)
    assert again.returncode == 0
    assert "starts" not in again.stderr + again.stdout
