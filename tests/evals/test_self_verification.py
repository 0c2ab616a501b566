"""Candidates, their simulations and fixes, with a scripted policy and the real judge."""

import pytest

from simex.evals import candidates as candidates_
from simex.evals import summary
from simex.evals.self_rlef import run_self_rlef, to_record
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve
from tests.scripted import PROBLEM, RIGHT, WRONG, Script

PROBLEMS = {PROBLEM.id: PROBLEM}


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


def sample(pool, sources):
    policy = Script([solve.render_target("", source) for source in sources])
    return candidates_.sample_candidates(
        policy, [PROBLEM], pool=pool, samples=len(sources), seed=0
    )


def predict(*outputs):
    return Script([f"</think><output>{output}</output>" for output in outputs])


def simulate(policy, drawn):
    return candidates_.simulate_candidates(
        policy, PROBLEMS, drawn, seed=0, label="simulate"
    )


def test_candidates_carry_the_judges_word_on_public_and_on_all_tests(pool):
    drawn = sample(pool, [RIGHT, WRONG, "print(3)\n"])
    assert [c.passed_public for c in drawn] == [(True,), (False,), (True,)]
    assert [c.is_right for c in drawn] == [True, False, False]


def test_equal_programs_are_simulated_once(pool):
    policy = predict("3", "0")
    simulated = simulate(policy, sample(pool, [RIGHT, WRONG, RIGHT]))
    assert len(policy.prompts) == 2
    assert [c.predicted for c in simulated] == [("3",), ("0",), ("3",)]
    assert [c.predicted_pass for c in simulated] == [(True,), (False,), (True,)]


def test_simulation_chooses_what_it_believes_and_the_oracle_what_is_true(pool):
    # The verifier is fooled: it believes the wrong program and doubts the right one.
    drawn = simulate(predict("9", "3"), sample(pool, [RIGHT, WRONG]))
    groups = summary.group_candidates(drawn)
    assert summary.estimate_best_at_k(groups, "simulate", 2).value == 0.0
    assert summary.estimate_best_at_k(groups, "oracle", 2).value == 1.0
    assert summary.estimate_pass_at_k(groups, 1).value == 0.5
    assert summary.verifier_quality(drawn)["verifier.agreement"].value == 0.0


def test_records_of_candidates_come_back_equal(pool):
    drawn = simulate(predict("3"), sample(pool, [RIGHT]))
    assert [candidates_.from_record(candidates_.to_record(c)) for c in drawn] == drawn


def test_fixes_breaks_and_the_control_are_counted(pool):
    # Two attempts and, as the control, two other samples of the same problem.
    drawn = simulate(predict("0", "3"), sample(pool, [WRONG, RIGHT, RIGHT, WRONG]))
    answers = [solve.render_target("", RIGHT), solve.render_target("", "#SUBMIT\n")]
    outcomes = run_self_rlef(
        Script(answers),
        PROBLEMS,
        drawn,
        pool=pool,
        samples=4,
        attempts_per_problem=2,
        seed=0,
    )
    assert [o.is_fix for o in outcomes] == [True, False]
    assert outcomes[1].is_submitted and outcomes[1].is_right_after
    # The first is believed to fail, so the control takes sample 2 (right); the second
    # is believed to pass and is kept (right).
    assert [o.is_right_resampled for o in outcomes] == [True, True]
    values = summary.estimate_fixes([to_record(o) for o in outcomes])
    assert values["self_rlef.single"].value == 0.5
    assert values["self_rlef.fixed"].value == 1.0
    assert values["self_rlef.fix_rate"].value == 0.5
    assert values["gain.fixed_over_resample"].value == 0.0
