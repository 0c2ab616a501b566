"""Problems that whole programs can solve are kept, the others counted by reason."""

import dataclasses
import json
import pathlib

import pytest

from simex.core.errors import UserError
from simex.problems.problem import CallCase, Problem, Visibility
from simex.problems.records import ProblemWithPrograms, to_record
from simex.problems.solvable import date_of, load_solvable, why_unsolvable
from simex.rollouts.fix import FixObjective
from simex.rollouts.solve import SolveObjective
from simex.sandbox.judging import JudgeItem
from tests.scripted import PROBLEM, RIGHT

CALL = CallCase(
    function="f", arguments=(1,), expected_result=2, visibility=Visibility.PUBLIC
)
HIDDEN = tuple(
    dataclasses.replace(test, visibility=Visibility.PRIVATE) for test in PROBLEM.tests
)
OTHERS = {
    "leetcode": {"tests": (), "call_tests": (CALL,)},
    "both": {"call_tests": (CALL,)},
    "many": {"has_many_answers": True},
    "hidden": {"tests": HIDDEN},
}


def other(name: str) -> Problem:
    return dataclasses.replace(PROBLEM, id=name, **OTHERS[name])


def write(path: pathlib.Path, problems: list[Problem]) -> pathlib.Path:
    items = [
        ProblemWithPrograms(problem=p, right_programs=(), wrong_programs=())
        for p in problems
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(to_record(item)) + "\n" for item in items))
    return path


def test_a_program_is_asked_for_where_stdin_decides_and_one_answer_is_right():
    assert why_unsolvable(PROBLEM) is None
    assert [why_unsolvable(other(name)) for name in OTHERS] == [
        "tests that are calls",
        "tests that are calls",
        "many right answers",
        "no public test",
    ]


def test_what_cannot_be_solved_is_passed_over_counted_and_told(tmp_path, capsys):
    twin = dataclasses.replace(PROBLEM, id="twin")
    problems = [other("leetcode"), PROBLEM, *map(other, ("many", "both")), twin]
    path = write(tmp_path / "test.jsonl", problems)
    assert load_solvable(path) == [PROBLEM, twin]
    assert capsys.readouterr().err == (
        f"{path}: problems to solve: 2; left out: 1 with many right answers, "
        "2 with tests that are calls\n"
    )
    assert load_solvable(path, most=1) == [PROBLEM]


def test_a_file_without_a_problem_to_solve_is_refused_with_the_reasons(tmp_path):
    path = write(tmp_path / "test.jsonl", list(map(other, OTHERS)))
    with pytest.raises(UserError, match="Left out: 1 with many.* 2 with tests that"):
        load_solvable(path)


@pytest.mark.parametrize("objective", [SolveObjective, FixObjective])
def test_objectives_of_solving_take_the_first_problems_to_solve(objective, tmp_path):
    problems = [other("both"), PROBLEM, dataclasses.replace(PROBLEM, id="twin")]
    write(tmp_path / "make_problems" / "rl.jsonl", problems)
    loaded = objective(weight=1.0, max_items=1).load_items(tmp_path)
    assert loaded == [PROBLEM]


@pytest.mark.parametrize("objective", [SolveObjective, FixObjective])
def test_an_objective_wants_the_stage_and_not_a_file_of_it(objective):
    with pytest.raises(UserError, match=r"must be a stage.*got the file 'a/rl.jsonl'"):
        objective(weight=1.0, problems_from="a/rl.jsonl")


@pytest.mark.parametrize("objective", [SolveObjective, FixObjective])
def test_rl_takes_no_problem_whose_tests_all_stand_in_the_prompt(
    objective, tmp_path, capsys
):
    (public, _) = PROBLEM.tests  # print(3) passes every test of this one
    shown = dataclasses.replace(PROBLEM, id="shown", tests=(public,))
    path = write(tmp_path / "import_problems" / "train.jsonl", [shown, PROBLEM])
    rl = objective(weight=1.0, problems_from="import_problems")
    assert rl.load_items(tmp_path) == [PROBLEM]
    assert "problems to solve: 1; left out: 1 with no hidden test" in (
        capsys.readouterr().err
    )
    assert load_solvable(path) == [shown, PROBLEM]  # who only evaluates may ask it
    write(path, [shown])
    with pytest.raises(UserError, match="and a hidden one.*Mark some tests private"):
        rl.load_items(tmp_path)


def test_no_call_among_the_tests_is_lost_on_the_way_to_the_judge():
    with pytest.raises(ValueError, match="1 of its tests are calls"):
        JudgeItem.of(other("both"), RIGHT)


def test_problems_are_chosen_by_the_days_of_their_contests(tmp_path, capsys):
    days = ("2024-07-31", "2024-08-01", "2025-05-01", "2025-05-02")
    dated = [
        dataclasses.replace(PROBLEM, id=day, origin=f"{day}T00:00:00") for day in days
    ]
    path = write(tmp_path / "dated.jsonl", dated)
    window = {"since": "2024-08-01", "until": "2025-05-01"}
    found = load_solvable(path, **window)
    assert [p.id for p in found] == list(days[1:3])  # both bounds are included
    assert [date_of(p) for p in found] == list(days[1:3])
    assert "2 with another date" in capsys.readouterr().err
    assert [p.id for p in load_solvable(path, until=days[0])] == [days[0]]
    assert [p.id for p in load_solvable(path, since=days[3])] == [days[3]]
    # The first so many of the window, not of the file.
    assert [p.id for p in load_solvable(path, most=1, **window)] == [days[1]]
    with pytest.raises(UserError, match="holds none"):
        load_solvable(path, since="2026-01-01")
    with pytest.raises(UserError, match="written as 2024-08-01; got '2024/08/01'"):
        load_solvable(path, since="2024/08/01")
    undated = write(tmp_path / "undated.jsonl", [PROBLEM])
    assert date_of(PROBLEM) == ""
    with pytest.raises(UserError, match="'sum' has none"):
        load_solvable(undated, since="2024-08-01")
