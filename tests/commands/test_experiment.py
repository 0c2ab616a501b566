"""The words that commands about an experiment share."""

import pathlib

import pytest

from simex.main import _make_parser

WORDS = ["e.gin", "--set", "a.b=1", "--set", "c.d=2"]


@pytest.mark.parametrize("command", ["run", "plan", "sweep", "doctor"])
def test_an_experiment_and_its_settings_are_named_alike(command, capsys):
    more = ["--topology", "cpu:8"] if command == "plan" else ["--workdir", "w"]
    found = _make_parser().parse_args([command, *WORDS, *more])
    assert found.experiment == "e.gin"
    assert found.overrides == ["a.b=1", "c.d=2"]
    if command != "plan":
        assert found.workdir == pathlib.Path("w")
    with pytest.raises(SystemExit):
        _make_parser().parse_args([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "a setting over the file's, e.g. 'train_sft" in said


def test_only_doctor_can_do_without_an_experiment(capsys):
    assert _make_parser().parse_args(["doctor"]).experiment is None
    with pytest.raises(SystemExit):
        _make_parser().parse_args(["run"])
    assert "required: experiment" in capsys.readouterr().err
