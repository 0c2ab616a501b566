"""Every experiment file of the repository can be built."""

import re

import pytest

from simex.core.bindings import EXPERIMENTS
from simex.core.config import load_experiment
from simex.jobs.wiring import register

# Files in its folders are only included by others.
RUNNABLE = sorted(
    path
    for folder in (".", "data", "paper", "real", "eval", "study")
    for path in EXPERIMENTS.glob(f"{folder}/*.gin")
)


@pytest.mark.parametrize("path", RUNNABLE, ids=lambda path: path.name)
def test_an_experiment_file_is_understood_and_its_saved_config_too(path, tmp_path):
    register()
    experiment = load_experiment(path)
    (tmp_path / "again.gin").write_text(experiment.config_text)
    again = load_experiment(tmp_path / "again.gin")
    assert [s.settings for s in again.stages] == [s.settings for s in experiment.stages]


@pytest.mark.parametrize(
    "path", sorted(EXPERIMENTS.glob("objectives/*.gin")), ids=lambda path: path.name
)
def test_objectives_compose_with_an_experiment_as_their_head_says(path, tmp_path):
    register()
    # The lines of settings in the head, set off by three spaces.
    said = re.findall(r"^#   (\w+\.\w+ = .*)$", path.read_text(), re.MULTILINE)
    lines = ['include "quickstart.gin"', f'include "objectives/{path.name}"', *said]
    (tmp_path / "mine.gin").write_text("\n".join(lines) + "\n")
    load_experiment(tmp_path / "mine.gin")


@pytest.mark.parametrize(
    "path", ["quickstart.gin", "laptop.gin", "study/rows.gin", "study/rl_rows.gin"]
)
def test_what_a_report_compares_is_evaluated_in_one_precision(path):
    register()
    stages = load_experiment(EXPERIMENTS / path).stages
    types = {
        stage.name: stage.settings["setup.decoder.compute_dtype"]
        for stage in stages
        if stage.name.split("/")[-1].startswith("evaluate_")
    }
    assert types and set(types.values()) == {"'float32'"}, types


def test_each_seed_of_the_quickstart_splits_real_functions_in_its_own_way():
    register()
    path = EXPERIMENTS / "quickstart.gin"
    for seed in ("0", "1"):
        stages = load_experiment(path, [f"SEED={seed}"]).stages
        seeds = {stage.name: stage.settings.get("seed") for stage in stages}
        assert seeds["harvest_functions"] == seeds["make_problems"] == seed
