"""The commands that the help of a launcher shows can run."""

import itertools
import math
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from simex.core.config import load_experiment
from simex.doctor.divisibility import refuse_uneven
from simex.jobs.wiring import register

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "chips"),
    [("tpu.py", r"--type v5litepod-(\d+)"), ("xm.py", r"--tpu v5e:(\d+)x(\d+)")],
)
def test_the_rows_of_the_example_divide_over_its_slice(file, chips):
    register()
    text = (ROOT / "launch" / file).read_text()
    path, *_ = re.findall(r"(experiments/\S+\.gin)", text)
    found = re.search(chips, text)
    assert found
    refuse_uneven(load_experiment(ROOT / path), math.prod(map(int, found.groups())))


@pytest.mark.slow
def test_the_command_at_the_head_of_a_paper_file_can_run():
    """What it asks of gcloud is only printed; the words of the run are checked."""
    register()
    head = (ROOT / "experiments/paper/small_v5e.gin").read_text()
    found = re.search(
        r"^# Command:  (launch/tpu\.py (?:.*\\\n)*.*)$", head, re.MULTILINE
    )
    assert found
    words = shlex.split(re.sub(r"\\\n#", "", found[1]))
    ended = subprocess.run(
        [sys.executable, *words, "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    # Each worker mounts the one bucket that the words name.
    assert "simex/launch/tpu_worker install my-bucket" in ended.stdout
    settings = [then for word, then in itertools.pairwise(words) if word == "--set"]
    assert len(settings) == 3
    experiment = load_experiment(ROOT / words[2], settings)
    refuse_uneven(experiment, 16)
