"""Problems of the curriculum: whose split they are, their tests, and judged programs."""

import pytest

from simex.core.files import read_jsonl
from simex.jobs import make_problems as make_problems_
from simex.jobs.make_problems import make_problems
from simex.jobs.sandbox import SandboxConfig
from simex.problems.problem import Visibility
from simex.problems.records import from_record
from simex.problems.sources.curriculum.draft import ProblemDraft, find_split
from tests.scripted import RIGHT, WRONG

SPLITS = ("train", "rl", "validation", "test")
SIZES = {"num_train": 8, "num_rl": 4, "num_validation": 2, "num_test": 4}
TWIN = "a, b = map(int, input().split())\nprint(a + b)\n"


def run(workdir, **settings):
    make_problems(
        workdir, seed=0, **(SIZES | settings), sandbox=SandboxConfig(num_workers=1)
    )
    return {
        split: list(
            map(from_record, read_jsonl(workdir / "make_problems" / f"{split}.jsonl"))
        )
        for split in SPLITS
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run(tmp_path_factory.mktemp("made"), num_public=2, num_hidden=1)


def test_no_composition_of_training_is_held_out(made):
    found = {
        split: {find_split(item.problem.composition) for item in items}
        for split, items in made.items()
    }
    assert found == {
        "train": {"train"},
        "rl": {"train"},
        "validation": {"validation"},
        "test": {"test"},
    }
    assert [len(items) for items in made.values()] == [8, 4, 2, 4]


def test_rl_asks_for_problems_that_supervised_training_did_not_show(made):
    shown, asked = (
        {(item.problem.statement, item.right_programs[0]) for item in made[split]}
        for split in ("train", "rl")
    )
    assert len(shown) == 8 and len(asked) == 4 and not shown & asked


def test_tests_are_hidden_where_programs_are_judged(made):
    public, hidden = [Visibility.PUBLIC] * 2, [Visibility.GENERATED]
    for split, items in made.items():
        expected = public if split == "train" else public + hidden
        for item in items:
            assert [test.visibility for test in item.problem.tests] == expected


def test_the_sandbox_says_what_is_printed_and_which_program_is_right(
    tmp_path, monkeypatch
):
    draft = ProblemDraft(
        id="sum",
        statement="Print the sum.",
        composition="sum",
        split="test",
        public_inputs=("1 2\n",),
        hidden_inputs=("4 5\n",),
        right_program=RIGHT,
        wrong_programs=(WRONG, TWIN),  # the second one was meant to be wrong
    )
    monkeypatch.setattr(make_problems_, "draw_drafts", lambda *args, **kw: [draft])
    for split, (item,) in run(tmp_path).items():
        assert item.problem.id == f"{split}/sum"
        assert [test.expected_stdout for test in item.problem.tests] == ["3\n", "9\n"]
        assert item.right_programs == (RIGHT, TWIN)
        assert item.wrong_programs == (WRONG,)
