"""What a dataset holds out, and that none of it is trained on."""

import json

import pytest

from simex.core.errors import UserError
from simex.data.builder import load_split
from simex.data.records import Example
from simex.jobs.build_dataset import build_dataset
from simex.jobs.held_out import HeldOutExamples, draw_of_each_task
from simex.problems.problem import Problem, TestCase, Visibility
from simex.problems.records import ProblemWithPrograms, to_record


def explained(name, *, split, group):
    return {
        "id": name,
        "split": split,
        "group": group,
        "role": "right",
        "source": "print(1)",
        "stdin": "",
        "stdout": "1\n",
        "thought": "It prints 1.",
    }


def problem(name, *, split, composition):
    test = TestCase(stdin="", expected_stdout="1\n", visibility=Visibility.PUBLIC)
    asked = Problem(
        id=name,
        statement="Print 1.",
        checker="lines",
        tests=(test,),
        source="curriculum",
        composition=composition,
        split=split,
    )
    return to_record(
        ProblemWithPrograms(
            problem=asked, right_programs=("print(1)",), wrong_programs=()
        )
    )


def write_lines(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def workdir(tmp_path):
    write_lines(
        tmp_path / "write_explanations/explanations.jsonl",
        explained("a", split="train", group="sum"),
        explained("b", split="validation", group="max"),
        explained("c", split="validation", group="sum"),  # as one that is trained on
        explained("d", split="test", group="min"),
    )
    write_lines(
        tmp_path / "make_problems/train.jsonl",
        problem("p", split="train", composition="sum"),
    )
    return tmp_path


def test_a_validation_split_shares_no_group_with_training(workdir):
    write_lines(
        workdir / "make_problems/validation.jsonl",
        problem("q", split="validation", composition="max"),
        problem("r", split="validation", composition="sum"),
    )
    build_dataset(workdir, workdir / "build_dataset")
    for variant in ("nlex", "direct"):
        folder = workdir / "build_dataset" / variant
        assert {e.id for e in load_split(folder, "train")} == {
            "a/predict",
            "p/solve",
        }
        assert {e.id for e in load_split(folder, "validation")} == {
            "b/predict",
            "q/solve",
        }


def test_direct_examples_hold_the_answer_and_nothing_of_the_explanation(workdir):
    build_dataset(workdir, workdir / "build_dataset")
    found = {
        variant: {
            e.id: e.target
            for e in load_split(workdir / "build_dataset" / variant, "train")
        }
        for variant in ("nlex", "direct")
    }
    answer = "<output>1</output>"
    assert found["nlex"]["a/predict"] == f"<think>It prints 1.</think>{answer}"
    assert found["direct"]["a/predict"] == f"<think></think>{answer}"
    assert found["nlex"]["p/solve"] == found["direct"]["p/solve"]


def test_only_programs_of_the_wanted_roles_are_explained(workdir):
    ran = {"problem_id": "p", **explained("a", split="train", group="sum")}
    failed = {**ran, "id": "e", "role": "wrong", "source": "print(2)", "stdout": "2\n"}
    write_lines(workdir / "write_explanations/explanations.jsonl", ran, failed)
    build_dataset(workdir, workdir / "build_dataset", roles=["right"])
    examples = load_split(workdir / "build_dataset" / "nlex", "train")
    # Fixing is taught on wrong programs all the same.
    assert {e.id for e in examples} == {
        "a/predict",
        "p/solve",
        "p/right/submit_or_fix",
        "p/wrong/submit_or_fix",
    }


def test_without_anything_held_out_there_is_no_such_split(workdir):
    path = workdir / "write_explanations/explanations.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    build_dataset(workdir, workdir / "build_dataset")
    folder = workdir / "build_dataset" / "nlex"
    with pytest.raises(UserError, match="must have a split 'validation'; it has train"):
        HeldOutExamples().load(folder, None, seq_len=8, batch_rows=8)


@pytest.mark.parametrize(
    ("fixes", "submitted"), [("all", {True, False}), ("failing", {False})]
)
def test_what_passes_may_be_left_out_of_the_fixes(workdir, fixes, submitted):
    ran = {"problem_id": "p", **explained("a", split="train", group="sum")}
    failed = {**ran, "id": "e", "role": "wrong", "source": "print(2)", "stdout": "2\n"}
    write_lines(
        workdir / "write_explanations/explanations.jsonl",
        ran,
        failed,
        explained("b", split="validation", group="max"),
    )
    build_dataset(workdir, workdir / "build_dataset", fixes=fixes)
    examples = load_split(workdir / "build_dataset" / "nlex", "train")
    found = {e.id: "#SUBMIT" in e.target for e in examples if e.task == "submit_or_fix"}
    assert set(found.values()) == submitted
    assert found["p/wrong/submit_or_fix"] is False


def test_unknown_fixes_are_refused(workdir):
    with pytest.raises(UserError, match=r"build_dataset\.fixes"):
        build_dataset(workdir, workdir / "build_dataset", fixes="some")


def test_as_many_examples_of_each_task_are_drawn_the_same_in_every_run():
    # Stored in the order of two sources, as gathered shards are.
    examples = [
        Example(id=f"{s}/{t}/{i}", task=t, prompt="", target="x", group="g", source=s)
        for s in ("a", "b")
        for i in range(50)
        for t in ("explain", "solve")
    ]
    found = list(draw_of_each_task(examples, 20))
    assert [e.id for e in draw_of_each_task(examples, 20)] == [e.id for e in found]
    for task in ("explain", "solve"):
        own = [e for e in found if e.task == task]
        assert len({e.id for e in own}) == 20
        # Half of them are of each source, 10 and a standard deviation of 2.
        assert 4 <= sum(e.source == "a" for e in own) <= 16
    assert len(list(draw_of_each_task(examples, 1000))) == 200
