"""Candidates and their simulations, with a scripted policy and the real judge."""

import itertools
import random

import pytest

from simex.evals import candidates as candidates_
from simex.evals import prices, summary
from simex.evals.candidates import JudgedCandidate
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
        policy, [PROBLEM], pool=pool, samples=len(sources), seed_path=(0,)
    )


def predict(*outputs):
    return Script([f"</think><output>{output}</output>" for output in outputs])


def simulate(policy, drawn, rounds=1):
    return candidates_.simulate_candidates(
        policy, PROBLEMS, drawn, rounds=rounds, seed_path=(1,)
    )


def test_candidates_carry_the_judges_word_on_public_and_on_all_tests(pool):
    drawn = sample(pool, [RIGHT, WRONG, "print(3)\n"])
    assert [c.passed_public for c in drawn] == [(True,), (False,), (True,)]
    assert [c.is_right for c in drawn] == [True, False, False]
    assert [c.num_tokens for c in drawn] == [2, 2, 2]  # as long as each was sampled


def test_equal_programs_are_simulated_once(pool):
    policy = predict("3", "0")
    simulated = simulate(policy, sample(pool, [RIGHT, WRONG, RIGHT]))
    assert len(policy.prompts) == 2
    assert [c.predicted for c in simulated] == [(("3",),), (("0",),), (("3",),)]
    assert [c.predicted_pass for c in simulated] == [
        ((x,),) for x in (True, False, True)
    ]


def test_every_round_asks_again_and_no_program_passes_nothing(pool):
    policy = predict("3", "0")
    drawn = sample(pool, [RIGHT])
    drawn.append(
        JudgedCandidate(
            problem_id="sum",
            source=None,
            num_tokens=1,
            passed_public=(False,),
            is_right=False,
        )
    )
    simulated = simulate(policy, drawn, rounds=2)
    # (seed, program, test, round): a seed of its own, or rounds would be one round.
    assert policy.seed_paths == [(1, 0, 0, 0), (1, 0, 0, 1)]
    assert simulated[0].predicted_pass == ((True,), (False,))
    assert simulated[0].simulation.doubt == 0.5
    assert simulated[1].predicted == ((None,), (None,))
    assert simulated[0].as_candidate().predicted_public == (1, 0)


def test_simulation_chooses_what_it_believes_and_the_oracle_what_is_true(pool):
    # The verifier is fooled: it believes the wrong program and doubts the right one.
    drawn = simulate(predict("9", "3"), sample(pool, [RIGHT, WRONG]))
    groups = summary.group_candidates(drawn)
    assert summary.estimate_best_at_k(groups, "simulate", 2).value == 0.0
    assert summary.estimate_best_at_k(groups, "oracle", 2).value == 1.0
    assert summary.estimate_simulation_gap(groups, 2).value == 1.0
    assert summary.estimate_pass_at_k(groups, 1).value == 0.5
    assert summary.verifier_quality(drawn)["verifier.agreement"].value == 0.0


def test_records_of_candidates_come_back_equal(pool):
    drawn = simulate(predict("3", "4"), sample(pool, [RIGHT]), rounds=2)
    assert [candidates_.from_record(candidates_.to_record(c)) for c in drawn] == drawn


def solved(problem_id, is_right, composition="", said=True):
    return JudgedCandidate(
        problem_id=problem_id,
        source="print(1)",
        num_tokens=1,
        passed_public=(is_right,),
        is_right=is_right,
        predicted=(("1",),),
        predicted_pass=((said,),),
        composition=composition,
    )


def test_twins_of_one_composition_are_one_problem_to_an_interval():
    flags = {"a0": True, "a1": True, "b0": False, "b1": False}
    twins = [solved(name, right, name[0]) for name, right in flags.items()]
    alone = [solved(name, right) for name, right in flags.items()]
    groups = summary.group_candidates(twins)
    by_id = summary.group_candidates(alone)
    for one, other in (
        (summary.estimate_pass_at_k(groups, 1), summary.estimate_pass_at_k(by_id, 1)),
        (
            summary.estimate_best_at_k(groups, "simulate", 1),
            summary.estimate_best_at_k(by_id, "simulate", 1),
        ),
        (
            summary.verifier_quality(twins)["verifier.agreement"],
            summary.verifier_quality(alone)["verifier.agreement"],
        ),
    ):
        assert (one.n, one.problems, other.problems) == (4, 2, 4)
        # Two clusters, each 2 * 0.5 off: sqrt(2 / 1 * (1 + 1)) / 4.
        assert one.stderr == pytest.approx(0.5)
        # Four values, each 0.5 off: sqrt(4 / 3 * 4 * 0.25) / 4.
        assert other.stderr == pytest.approx(0.2887, abs=1e-4)
    nothing = [solved(name, False, name[0]) for name in flags]
    gain = summary.estimate_solving_gain(groups, summary.group_candidates(nothing))
    assert (gain.value, gain.problems) == (0.5, 2)
    for gain in (
        summary.estimate_ranking_gain(groups, "simulate", 1),
        summary.estimate_simulation_gap(groups, 1),
        prices.estimate_n_at_k(groups, "simulate", n=1, k=1),
    ):
        assert gain.problems == 2


def test_records_of_candidates_without_a_composition_are_read(pool):
    (drawn,) = sample(pool, [RIGHT])
    assert drawn.cluster == "sum"  # the problem's composition
    older = candidates_.to_record(drawn)
    del older["composition"]
    assert candidates_.from_record(older).cluster == drawn.problem_id


def random_candidates(seed, rounds=3):
    rng = random.Random(seed)
    return [
        JudgedCandidate(
            problem_id=str(rng.randrange(4)),
            source=str(i) if rng.random() < 0.9 else None,
            num_tokens=rng.randrange(3),
            passed_public=tuple(rng.random() < 0.6 for _ in range(2)),
            is_right=rng.random() < 0.4,
            predicted=((None, None),) * rounds,
            predicted_pass=tuple(
                tuple(rng.random() < 0.7 for _ in range(2)) for _ in range(rounds)
            ),
        )
        for i in range(12)
    ]


@pytest.mark.parametrize("seed", range(10))
def test_precision_and_recall_equal_a_count_over_all_verdicts(seed):
    drawn = random_candidates(seed)
    verdicts = [
        (all(said), all(c.passed_public))
        for c in drawn
        if c.source is not None
        for said in c.predicted_pass
    ]
    both = verdicts.count((True, True))
    quality = summary.verifier_quality(drawn)
    said = both + verdicts.count((True, False))
    true = both + verdicts.count((False, True))
    assert quality["verifier.precision"].value == pytest.approx(both / said)
    assert quality["verifier.recall"].value == pytest.approx(both / true)
    same = both + verdicts.count((False, False))
    assert quality["verifier.agreement"].value == pytest.approx(same / len(verdicts))


def test_prices_stand_beside_what_is_bought():
    one = random_candidates(0)
    groups = {"a": one[:6], "b": one[6:]}
    rows = {row.method: row for row in prices.price_candidates(groups, [1, 4])}
    budgets = {
        name: (row.samples, row.predictions, row.executions, row.submissions)
        for name, row in rows.items()
    }
    assert budgets["pass@1"] == (1, 0, 0, 1)
    assert budgets["pass@4"] == (4, 0, 0, 4)
    # 4 candidates of 2 public tests in 3 rounds
    assert budgets["best@4 simulate"] == (4, 24, 0, 1)
    assert budgets["best@4 oracle"] == (4, 0, 8, 1)
    assert budgets["2@4 simulate"] == (4, 24, 0, 2)
    for low, high in itertools.pairwise(("best@4 simulate", "2@4 simulate", "pass@4")):
        assert rows[low].estimate.value <= rows[high].estimate.value + 1e-12
