"""Every experiment file of the repository can be built."""

import pytest

from simex.core.bindings import EXPERIMENTS
from simex.core.config import load_experiment
from simex.jobs.wiring import register

# Files in its folders are only included by others.
RUNNABLE = sorted(
    path
    for folder in (".", "paper", "real", "eval", "study")
    for path in EXPERIMENTS.glob(f"{folder}/*.gin")
)


@pytest.mark.parametrize("path", RUNNABLE, ids=lambda path: path.name)
def test_an_experiment_file_is_understood_and_its_saved_config_too(path, tmp_path):
    register()
    experiment = load_experiment(path)
    (tmp_path / "again.gin").write_text(experiment.config_text)
    again = load_experiment(tmp_path / "again.gin")
    assert [s.settings for s in again.stages] == [s.settings for s in experiment.stages]
