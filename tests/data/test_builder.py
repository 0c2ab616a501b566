"""Datasets on disk: whole or absent, the same bytes every time."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest

from simex.core.errors import UserError
from simex.data.builder import StoredExamples, build_dataset, dataset_dir, load_split
from simex.data.records import Example, parse_record, render_record
from tests.data.conftest import make_examples

# Protobuf orders maps by addresses, so only another process can show a difference.
BUILD = """
import pathlib, sys
from simex.data.builder import build_dataset
from tests.data.conftest import make_examples

build_dataset(
    {"train": make_examples("train", 30), "test": make_examples("test", 5)},
    pathlib.Path(sys.argv[1]),
)
assert "tensorflow" not in sys.modules and "jax" not in sys.modules
"""

KILLED = """
import os, pathlib, signal, sys
from simex.data import builder
from tests.data.conftest import make_examples

def examples():
    yield from make_examples("train", 3)
    if sys.argv[2] == "reading":
        os.kill(os.getpid(), signal.SIGKILL)

def die(*paths):
    os.kill(os.getpid(), signal.SIGKILL)

builder._replace_folder = die
builder.build_dataset({"train": examples()}, pathlib.Path(sys.argv[1]))
"""


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_examples_come_back_as_they_went_in(tmp_path):
    examples = [*make_examples("train", 8)]
    odd = dataclasses.replace(examples[0], id="odd", prompt="", target="\x00 \u2581\n")
    build_dataset(
        {"train": [*examples, odd], "test": make_examples("test", 2)}, tmp_path
    )
    stored = load_split(tmp_path, "train")
    assert len(stored) == 4 * 8 + 1
    assert sorted(stored, key=id_of) == sorted([*examples, odd], key=id_of)
    assert len(load_split(tmp_path, "test")) == 4 * 2
    assert "tensorflow" not in sys.modules


def id_of(example: Example) -> str:
    return example.id


def test_stored_examples_are_a_sequence(tmp_path):
    build_dataset({"train": make_examples("train", 3)}, tmp_path)
    stored = load_split(tmp_path, "train")
    assert isinstance(stored, StoredExamples)
    one_by_one = [stored[i] for i in range(12)]
    assert list(stored) == one_by_one == stored[0:12]
    assert stored[-1] == one_by_one[11]
    with pytest.raises(IndexError):
        stored[12]


def test_two_processes_write_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        finished = run_python(BUILD, tmp_path / name)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout == ""
    first = contents(tmp_path / "a")
    assert first == contents(tmp_path / "b")
    # Nothing but the dataset: two files that describe it, and one file a split.
    assert len(first) == 4


@pytest.mark.parametrize("moment", ["reading", "renaming"])
def test_a_killed_build_leaves_nothing_that_passes_for_a_dataset(tmp_path, moment):
    assert run_python(KILLED, tmp_path, moment).returncode == -9
    assert list(tmp_path.iterdir()) != []  # it was killed at work
    with pytest.raises(UserError, match="must hold a dataset"):
        load_split(tmp_path, "train")
    build_dataset({"train": make_examples("train", 3)}, tmp_path)
    assert len(load_split(tmp_path, "train")) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["simex_examples"]


def test_a_build_replaces_the_dataset_that_stands_there(tmp_path):
    build_dataset({"train": make_examples("train", 3)}, tmp_path)
    folder = build_dataset({"train": make_examples("train", 1)}, tmp_path)
    assert folder == dataset_dir(tmp_path)
    assert len(load_split(tmp_path, "train")) == 4


def test_bad_examples_are_refused_and_the_old_dataset_stays(tmp_path):
    build_dataset({"train": make_examples("train", 1)}, tmp_path)
    before = contents(tmp_path)
    first, second = list(make_examples("train", 1))[:2]
    same_id = dataclasses.replace(second, id=first.id)
    same_group = dataclasses.replace(second, id="other")
    for splits, message in [
        ({"train": [first, same_id]}, "'train/0/0' comes twice"),
        ({"train": [first], "test": [same_group]}, "must lie in one split"),
        ({"train": [first], "test": []}, "'test' must have at least one example"),
        ({"all": [first]}, "not 'all'"),
        ({"real functions": [first]}, "letters, digits and underscores"),
    ]:
        with pytest.raises(UserError, match=message):
            build_dataset(splits, tmp_path)
    assert contents(tmp_path) == before


def test_a_missing_dataset_or_split_is_named(tmp_path):
    with pytest.raises(UserError, match=r"versions there: none"):
        load_split(tmp_path, "train")
    build_dataset({"train": make_examples("train", 1)}, tmp_path)
    with pytest.raises(UserError, match="split 'tset'; it has train"):
        load_split(tmp_path, "tset")


def test_records_and_examples_are_inverse():
    example = next(make_examples("train", 1))
    assert parse_record(render_record(example)) == example
    as_bytes = {k: v.encode() for k, v in render_record(example).items()}
    assert parse_record(as_bytes) == example


def test_an_example_must_have_text_in_every_field():
    example = next(make_examples("train", 1))
    with pytest.raises(ValueError, match="target must not be empty"):
        dataclasses.replace(example, target="")
    with pytest.raises(TypeError, match="prompt must be text; got bytes"):
        dataclasses.replace(example, prompt=b"x")
