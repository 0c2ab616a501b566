"""Loops of self-RLEF, with a scripted policy and the real judge."""

import dataclasses

import pytest

from simex.core.errors import UserError
from simex.evals import candidates as candidates_
from simex.evals import loop_summary
from simex.evals.fix_loop import FixLoop, to_record
from simex.evals.self_rlef import run_fix_loop
from simex.evals.simulation import simulate_programs
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve
from tests.scripted import PROBLEM, RIGHT, WRONG, NoRoomToFix, Script

PROBLEMS = {PROBLEM.id: PROBLEM}
OTHER_WRONG = "print(1)\n"
SUBMIT = "#SUBMIT\n"


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


def say(*outputs):
    return [f"</think><output>{output}</output>" for output in outputs]


def write(*sources):
    return [solve.render_target("", source) for source in sources]


def candidates(pool, sources, outputs, rounds=1):
    drawn = candidates_.sample_candidates(
        Script(write(*sources)),
        [PROBLEM],
        pool=pool,
        samples=len(sources),
        seed_path=(0,),
    )
    return candidates_.simulate_candidates(
        Script(say(*outputs)), PROBLEMS, drawn, rounds=rounds, seed_path=(1,)
    )


def run(pool, first, answers, outputs=(), **settings):
    """Outcomes of a loop whose solver writes `answers` and whose verifier `outputs`."""
    solver, verifier = Script(list(answers)), Script(say(*outputs))
    outcomes = run_fix_loop(
        solver,
        verifier,
        PROBLEMS,
        first,
        pool=pool,
        loop=FixLoop(**settings),
        seed_path=(2,),
    )
    assert not solver.answers and not verifier.answers  # nothing less was asked
    return outcomes, solver


@pytest.mark.parametrize(("tolerance", "passes"), [(None, False), (0.01, True)])
def test_a_simulated_output_is_compared_with_the_tolerance_of_its_problem(
    tolerance, passes
):
    problem = dataclasses.replace(PROBLEM, checker="lines", float_tol=tolerance)
    (said,) = simulate_programs(
        Script(say("3.01")), [(problem, RIGHT)], rounds=1, seed_path=(0,)
    )
    assert said.passes == ((passes,),)  # 3 is expected: |3.01 - 3| <= 0.01 * 3


def test_a_fix_a_break_and_a_submission_are_told_apart(pool):
    first = candidates(pool, [WRONG, RIGHT, RIGHT], ["0", "3"])
    outcomes, _ = run(pool, first, write(RIGHT, WRONG, SUBMIT))
    assert [o.right for o in outcomes] == [(False, True), (True, False), (True, True)]
    assert [o.is_submitted for o in outcomes] == [False, False, True]
    assert [o.samples for o in outcomes] == [(1, 2)] * 3
    # The last programs are not looked at: nobody would use it.
    assert [o.predictions for o in outcomes] == [(1, 1)] * 3
    records = [to_record(o) for o in outcomes]
    values = loop_summary.estimate_loop(records)
    assert {name: round(e.value, 3) for name, e in values.items()} == {
        "single": 0.667,
        "fixed": 0.667,
        "fix_rate": 0.333,
        "break_rate": 0.333,
        "fix_rate_public": 0.333,
        "break_rate_public": 0.333,
        "fix_rate_hidden": 0.333,
        "break_rate_hidden": 0.333,
    }
    assert loop_summary.count_changes(records)[True, False] == 1


def test_fix_and_break_rates_on_public_tests_look_at_public_tests_alone(pool):
    # "print(3)" passes the public test and fails the hidden one.
    first = candidates(pool, [WRONG, RIGHT], ["0", "3"])
    outcomes, _ = run(pool, first, write("print(3)\n", "print(3)\n"))
    values = loop_summary.estimate_loop([to_record(o) for o in outcomes])
    assert values["fix_rate"].value == 0.0 and values["fix_rate_public"].value == 0.5
    assert (
        values["break_rate"].value == 0.5 and values["break_rate_public"].value == 0.0
    )


def test_a_doubted_fix_leaves_the_old_program_and_the_loop_goes_on(pool):
    # Right, but a false alarm says that it prints 0. The first fix is predicted to
    # fail, too, and is refused; the second is believed.
    first = candidates(pool, [RIGHT], ["0"])
    outcomes, solver = run(
        pool,
        first,
        write(WRONG, RIGHT + "#\n"),
        ["5", "3"],
        max_turns=3,
        accept="passing",
    )
    assert outcomes[0].right == (True, True, True)
    assert outcomes[0].sources == (RIGHT, RIGHT, RIGHT + "#\n")
    assert outcomes[0].samples == (1, 2, 3) and outcomes[0].predictions == (1, 2, 3)
    assert all(RIGHT.strip() in prompt for prompt in solver.prompts)


def test_a_refused_fix_leaves_nothing_unless_fixes_must_pass(pool):
    first = candidates(pool, [RIGHT], ["0"])
    outcomes, _ = run(pool, first, ["no code at all"])
    assert outcomes[0].right == (True, False) and outcomes[0].sources[1] is None
    outcomes, _ = run(pool, first, ["no code at all"], accept="passing")
    assert outcomes[0].right == (True, True)


def test_a_better_fix_is_one_with_more_predicted_passes(pool):
    first = candidates(pool, [RIGHT], ["3", "0"], rounds=2)  # one pass of two rounds
    settings = {"rounds": 2, "accept": "better"}
    outcomes, _ = run(pool, first, write(WRONG), ["3", "0"], **settings)
    assert outcomes[0].sources[1] == RIGHT  # as many, not more
    outcomes, _ = run(pool, first, write(OTHER_WRONG), ["3", "3"], **settings)
    assert outcomes[0].sources[1] == OTHER_WRONG


def test_what_is_doubted_less_than_asked_for_is_submitted_without_asking(pool):
    first = candidates(pool, [RIGHT], ["3", "0", "3", "0", "3"], rounds=5)  # doubt 2/5
    outcomes, _ = run(pool, first, [], rounds=5, min_doubt=0.5, max_turns=3)
    assert outcomes[0].right == (True,) * 3 and outcomes[0].samples == (1, 1, 1)
    outcomes, _ = run(pool, first, write(WRONG), rounds=5, min_doubt=0.4)
    assert outcomes[0].right == (True, False)


def test_the_shown_outputs_are_those_of_a_round_that_fails(pool):
    first = candidates(pool, [RIGHT], ["3", "8"], rounds=2)
    _, solver = run(pool, first, write(SUBMIT), rounds=2)
    assert "\n8\n" in solver.prompts[0]


def test_executed_feedback_shows_what_is_printed_and_asks_no_verifier(pool):
    first = candidates(pool, [WRONG, RIGHT], ["3", "7"])  # both predictions are false
    outcomes, solver = run(
        pool, first, write(RIGHT), feedback="executed", min_doubt=1.0
    )
    assert [o.right for o in outcomes] == [(False, True), (True, True)]
    assert [o.executions for o in outcomes] == [(1, 1), (1, 1)]
    assert outcomes[0].predictions == (0, 0) and "\n0\n" in solver.prompts[0]


def test_without_feedback_no_output_is_shown(pool):
    first = candidates(pool, [WRONG], ["77"])
    _, solver = run(pool, first, write(SUBMIT), feedback="none")
    assert "77" not in solver.prompts[0] and "\n0\n" not in solver.prompts[0]


def test_the_control_draws_anew_where_a_program_is_doubted(pool):
    first = candidates(pool, [WRONG, RIGHT], ["0", "3"])
    outcomes, solver = run(pool, first, write(RIGHT), retry="resample")
    assert [o.right for o in outcomes] == [(False, True), (True, True)]
    assert [o.samples for o in outcomes] == [(1, 2), (1, 1)]
    assert solver.prompts == [
        solve.render_prompt(PROBLEM.statement, PROBLEM.public_tests)
    ]
    fixes, _ = run(pool, first, write(SUBMIT, SUBMIT))
    gain = loop_summary.estimate_loop_gain(
        [to_record(o) for o in outcomes], [to_record(o) for o in fixes]
    )
    assert gain.value == 0.5  # one of two was mended, the control mended none


def test_fixes_and_breaks_are_told_apart_on_public_and_on_hidden_tests(pool):
    """`WRONG` passes neither test, "print(3)" only the public one, "print(9)" the other."""
    only_public, only_hidden = "print(3)\n", "print(9)\n"
    first = candidates(pool, [WRONG, RIGHT, only_public], ["0", "3", "3"])
    outcomes, _ = run(pool, first, write(only_public, only_hidden, only_hidden))
    assert [o.right for o in outcomes] == [(False, False), (True, False)] + [
        (False, False)
    ]
    assert [o.public for o in outcomes] == [(False, True), (True, False), (True, False)]
    assert [o.hidden for o in outcomes] == [(False, False), (True, True), (False, True)]
    records = [to_record(outcome) for outcome in outcomes]
    found = {n: e.value for n, e in loop_summary.estimate_loop(records).items()}
    assert found == pytest.approx(
        {
            "single": 1 / 3,
            "fixed": 0.0,
            "fix_rate": 0.0,
            "break_rate": 1 / 3,
            "fix_rate_public": 1 / 3,  # the first
            "break_rate_public": 2 / 3,
            "fix_rate_hidden": 1 / 3,  # the last
            "break_rate_hidden": 0.0,
        }
    )
    for record in records:
        del record["hidden"]  # as an older simex left it
    assert "fix_rate_hidden" not in loop_summary.estimate_loop(records)


def test_what_is_refused_passes_no_hidden_tests_even_where_none_are(pool):
    public = dataclasses.replace(PROBLEM, tests=PROBLEM.public_tests)
    first = candidates(pool, [RIGHT], ["0"])
    (outcome,) = run_fix_loop(
        Script(["no code at all"]),
        Script([]),
        {PROBLEM.id: public},
        first,
        pool=pool,
        loop=FixLoop(),
        seed_path=(2,),
    )
    assert outcome.hidden == (True, False)


def test_attempts_at_twins_are_one_cluster_and_older_records_stand_alone(pool):
    first = candidates(pool, [RIGHT, WRONG], ["3", "3"])
    outcomes, _ = run(pool, first, [], max_turns=1)
    records = [to_record(outcome) for outcome in outcomes]
    assert [record["composition"] for record in records] == ["sum", "sum"]
    records[1]["problem_id"] = "twin"
    assert loop_summary.estimate_loop(records)["fixed"].problems == 1
    assert loop_summary.estimate_loop_gain(records).problems == 1
    assert loop_summary.turn_curve(records)[0].problems == 1
    for record in records:
        del record["composition"]
    assert loop_summary.estimate_loop(records)["fixed"].problems == 2


def test_a_fix_without_room_costs_nothing_and_is_not_asked_for_again(pool):
    first = candidates(pool, [WRONG], ["0"])
    solver, verifier = NoRoomToFix([""]), Script([])
    (outcome,) = run_fix_loop(
        solver,
        verifier,
        PROBLEMS,
        first,
        pool=pool,
        loop=FixLoop(max_turns=4),
        seed_path=(2,),
    )
    assert len(solver.prompts) == 1 and not verifier.prompts
    assert outcome.samples == (1,) * 4 and outcome.predictions == (1,) * 4
    assert outcome.sources == (WRONG,) * 4


def test_one_turn_is_a_single_attempt(pool):
    first = candidates(pool, [RIGHT], ["3"])
    outcomes, _ = run(pool, first, [], max_turns=1)
    assert outcomes[0].right == (True,)


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"max_turns": 11}, "1..10; got 11"),
        ({"rounds": 0}, "rounds >= 1"),
        ({"min_doubt": 1.5}, "0..1"),
        ({"feedback": "none", "accept": "passing"}, "Without feedback"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        FixLoop(**settings)


def test_more_rounds_than_were_simulated_are_refused(pool):
    first = candidates(pool, [RIGHT], ["3"])
    with pytest.raises(UserError, match="Raise evaluate_solving.rounds"):
        run(pool, first, [], rounds=5)
