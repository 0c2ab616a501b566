"""Every command of the README does what it says; names in it exist."""

import pathlib
import re
import shlex

import pytest

from simex.core.config import load_experiment
from simex.jobs.wiring import register
from simex.main import main

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def find_commands():
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_the_first_two_commands_are_all_the_set_up_there_is():
    assert find_commands()[:2] == [
        "launch/local run experiments/quickstart.gin",
        "launch/local test",
    ]


@pytest.mark.parametrize("command", find_commands())
def test_a_command_names_what_exists(command, tmp_path, monkeypatch, capsys):
    """`test` runs these tests; a `run` is checked here, and run whole by test_smoke."""
    monkeypatch.chdir(ROOT)
    program, word, *rest = shlex.split(command)
    assert (ROOT / program).stat().st_mode & 0o111
    if word == "test":
        return
    assert word == "run"
    words = [word, *rest, "--dry-run"]
    if "--workdir" not in rest:
        words += ["--workdir", str(tmp_path)]
    assert main(words) == 0
    assert "make_problems" in capsys.readouterr().out


def test_every_stage_of_the_quickstart_is_in_the_table():
    register()
    for stage in load_experiment(ROOT / "experiments" / "quickstart.gin").stages:
        assert f"`{stage.name}`" in README


def test_every_file_that_the_readme_links_is_there():
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_every_room_is_on_the_map():
    rooms = {p.name for p in (ROOT / "simex").iterdir() if (p / "__init__.py").exists()}
    assert all(f"{room}/" in README for room in rooms)
