"""Every command of the README does what it says; names in it exist."""

import json
import pathlib
import re
import shlex

import pytest

from simex.core.config import load_experiment
from simex.jobs.wiring import register
from simex.main import COMMANDS, main

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


def write_files(folder: pathlib.Path) -> None:
    """The files that the README shows, under the names that it gives them."""
    shown = re.findall(
        r"^`([\w.]+)`:\n\n```\w+\n(.*?)```", README, re.DOTALL | re.MULTILINE
    )
    for name, content in shown:
        (folder / name).write_text(content)


RUNS = [shlex.split(command)[1:] for command in find_commands()]


@pytest.mark.parametrize("words", [w for w in RUNS if w[0] == "run"], ids=" ".join)
def test_a_run_names_what_exists(words, tmp_path, monkeypatch, capsys):
    """Checked here without running; test_smoke runs all stages."""
    monkeypatch.chdir(ROOT)
    if "--workdir" not in words:
        words = [*words, "--workdir", str(tmp_path)]
    assert main([*words, "--dry-run"]) == 0
    assert "Settings that differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [w for w in RUNS if w[0] in ("judge", "trace", "score")], ids=" ".join
)
def test_a_command_does_what_it_says(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    assert main(words) == 0
    printed = capsys.readouterr().out
    match words[0]:
        case "judge":
            lines = (tmp_path / "verdicts.jsonl").read_text().splitlines()
            verdicts = [json.loads(line)["verdicts"] for line in lines]
            assert verdicts == [["accepted", "accepted"], ["wrong_output"]]
        case "score":  # one of two answers is right
            assert json.loads((tmp_path / "results.json").read_text())
            assert printed.count("50.00 %") == 2
        case "trace":  # 5 // 2 = 2 and 2 // 2 = 1
            if words[words.index("--format") + 1] == "nlex":
                assert printed == "n=5\n5 // 2 n=2\n2 // 2 n=1\n"
            else:
                events = list(map(json.loads, printed.splitlines()))
                changed = [e["changed"]["n"] for e in events if "changed" in e]
                assert changed == ["5", "2", "1"]
                told = [e["value"] for e in events if e["event"] == "stdout"]
                assert told == ["1\n"]


def test_every_word_is_a_word_of_the_command():
    known = {"test", "torch", "libtpu", *COMMANDS}
    assert {words[0] for words in RUNS} <= known
    assert {"run", "judge", "trace", "score", "view"} <= {words[0] for words in RUNS}


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
