"""The commands that the help of a launcher shows can run."""

import math
import pathlib
import re

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
