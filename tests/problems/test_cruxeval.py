"""CRUXEval records, and the two ways of scoring an answer."""

import json
import pathlib
import subprocess
import sys

import pytest

from simex.core.errors import UserError
from simex.problems.sources.cruxeval import (
    CruxItem,
    answer_program,
    check_program,
    find_items,
    is_rejected,
    load_items,
)
from simex.sandbox.literals import check_cruxeval_strict

REAL_FILE = (
    pathlib.Path(__file__).parents[3] / "shared" / "data" / "eval" / "cruxeval.jsonl"
)
RECORDS = [
    {"id": "own_0", "code": "def f(n):\n    return n + 1", "input": "3", "output": "4"},
    {
        "id": "own_1",
        "code": "def f(s, k):\n    return [s[:k], k > 1]",
        "input": "'abc', 2",
        "output": "['ab', True]",
    },
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cruxeval.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


def run(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", source],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_records_become_items_in_the_order_of_the_file(path):
    assert load_items(path) == tuple(CruxItem(**record) for record in RECORDS)
    assert find_items(path) == load_items(path)


def test_the_answer_program_prints_the_output(path):
    for item in load_items(path):
        assert run(answer_program(item)).stdout == f"{item.output}\n"


def test_a_check_passes_for_equal_values_and_fails_for_others(path):
    item = load_items(path)[1]
    assert check_program(item, "['ab', 1]") == (
        "def f(s, k):\n    return [s[:k], k > 1]\nassert ['ab', True] == ['ab', 1]"
    )
    assert run(check_program(item, "['ab', True]")).returncode == 0
    assert run(check_program(item, "['ab', 1]")).returncode == 0  # True == 1
    assert run(check_program(item, "['a', True]")).returncode == 1
    assert run(check_program(item, "[")).returncode == 1


def test_an_answer_that_holds_the_call_is_rejected(path):
    item = load_items(path)[1]
    assert is_rejected(item, "f('abc', 2)")
    assert is_rejected(item, "list(f('abc', 2))")
    assert not is_rejected(item, "f('abc', 1)")
    assert not is_rejected(item, "['ab', True]")


def test_a_missing_file_is_an_error_or_none_as_the_caller_chooses(tmp_path):
    assert find_items(tmp_path / "none.jsonl") is None
    with pytest.raises(UserError, match="must exist"):
        load_items(tmp_path / "none.jsonl")


def test_a_record_of_another_form_is_refused_with_its_place(path):
    with path.open("a") as file:
        file.write(json.dumps({"id": "own_2", "code": "def f(): 0", "input": 3}) + "\n")
    with pytest.raises(UserError, match=r"record 3: .* got none under input, output"):
        load_items(path)


@pytest.mark.skipif(not REAL_FILE.exists(), reason="CRUXEval is not on this machine")
def test_the_real_file_holds_800_items_whose_outputs_are_right():
    items = load_items(REAL_FILE)
    assert len(items) == 800
    assert items[0].id == "sample_0"
    assert items[0].call == "f([1, 1, 3, 1, 3, 1])"
    assert items[0].output == "[(4, 1), (4, 1), (4, 1), (4, 1), (2, 3), (2, 3)]"
    assert all(
        check_cruxeval_strict(item.output.encode(), item.output) for item in items
    )
    assert not any(is_rejected(item, item.output) for item in items)
    for item in items[:5]:
        assert run(check_program(item, item.output)).returncode == 0
        assert run(check_program(item, "'something else'")).returncode == 1
