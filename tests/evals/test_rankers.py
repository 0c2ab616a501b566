"""The rankers of best@k on a problem small enough to count by hand."""

import dataclasses
import itertools
import random
from collections import Counter

import pytest

from simex.core.errors import UserError
from simex.evals.rankers import RANKERS, Candidate, program_vote, submit_n


def candidate(is_right, *, passed=0, predicted=(0,), num_tokens=1, vote="a"):
    return Candidate(
        is_right=is_right,
        passed_public=passed,
        predicted_public=predicted,
        num_tokens=num_tokens,
        vote=vote,
    )


FOUR = [
    candidate(True, passed=2, predicted=(2, 0), num_tokens=9, vote="a"),
    candidate(False, passed=2, predicted=(1, 1), num_tokens=4, vote="b"),
    candidate(False, passed=0, predicted=(0, 0), num_tokens=5, vote="b"),
    candidate(False, passed=1, predicted=(0, 0), num_tokens=7, vote="c"),
]


@pytest.mark.parametrize(
    "name,expected",
    [
        ("oracle", 0.5),  # two pass both public tests, one of them is right
        ("simulate", 0.5),  # (round 1: the right one leads, 1) + (round 2: it does not)
        ("simulate_vote", 0.5),  # summed 2, 2, 0, 0: a tie of right and wrong
        ("shortest", 0.0),  # the shortest is wrong
        ("majority", 0.0),  # "b" has two votes and is wrong
        ("random", 0.25),  # one of four
    ],
)
def test_rankers_choose_among_all_four(name, expected):
    assert RANKERS[name](FOUR, 4) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_every_ranker_is_blind_at_k_1(name):
    assert RANKERS[name](FOUR, 1) == pytest.approx(0.25)


def test_simulate_and_its_vote_differ_where_rounds_disagree():
    pair = [candidate(True, predicted=(3, 0)), candidate(False, predicted=(1, 1))]
    # rounds: 3 > 1 right, 0 < 1 wrong: mean 1/2; summed 3 > 2: right
    assert RANKERS["simulate"](pair, 2) == pytest.approx(0.5)
    assert RANKERS["simulate_vote"](pair, 2) == pytest.approx(1.0)


REFUSED = dataclasses.replace(candidate(False, vote=""), has_program=False)


def majority_by_counting(candidates, k):
    values = []
    for draw in itertools.combinations(candidates, k):
        votes = Counter(c.vote for c in draw if c.has_program)
        winners = [v for v, count in votes.items() if count == max(votes.values())]
        shares = []
        for winner in winners:
            voters = [c for c in draw if c.has_program and c.vote == winner]
            group = [c.is_right for c in voters]
            shares.append(sum(group) / len(group))
        values.append(sum(shares) / len(shares) if shares else 0.0)
    return sum(values) / len(values)


@pytest.mark.parametrize("seed", range(40))
def test_majority_equals_the_count_over_all_draws(seed):
    rng = random.Random(seed)
    group = [
        candidate(rng.random() < 0.5, vote=rng.choice("aaabbcde"))
        for _ in range(rng.randint(1, 9))
    ]
    group += [REFUSED] * (seed % 4)
    k = rng.randint(1, len(group))
    expected = majority_by_counting(group, k)
    assert RANKERS["majority"](group, k) == pytest.approx(expected, abs=1e-12)


def winner_by_counting(candidates, k, n, score):
    """The mean over all draws and all orders of ties: is one of the n first right?"""
    found = []
    for order in itertools.permutations(range(len(candidates))):
        for draw in itertools.combinations(order, k):
            ranked = sorted(draw, key=lambda i: -score(candidates[i]))  # keeps ties
            found.append(any(candidates[i].is_right for i in ranked[:n]))
    return sum(found) / len(found)


@pytest.mark.parametrize("seed", range(6))
def test_scoring_rankers_equal_the_count_over_draws_and_orders(seed):
    rng = random.Random(seed)
    group = [
        candidate(
            rng.random() < 0.5,
            passed=rng.randint(0, 2),
            predicted=(rng.randint(0, 2), rng.randint(0, 2)),
            num_tokens=rng.randint(1, 3),
        )
        for _ in range(5)
    ]
    k = rng.randint(2, 4)
    scores = {
        "oracle": [lambda c: c.passed_public],
        "simulate": [lambda c: c.predicted_public[0], lambda c: c.predicted_public[1]],
        "simulate_vote": [lambda c: sum(c.predicted_public)],
        "shortest": [lambda c: -c.num_tokens],
        "random": [lambda c: 0],
    }
    for name, rankings in scores.items():
        for n in (1, 2):
            counted = [winner_by_counting(group, k, n, score) for score in rankings]
            expected = sum(counted) / len(counted)
            assert submit_n(group, name, n=n, k=k) == pytest.approx(expected), name
            if n == 1:
                assert RANKERS[name](group, k) == pytest.approx(expected), name


def test_majority_has_no_second_submission():
    with pytest.raises(UserError, match="majority"):
        submit_n(FOUR, "majority", n=1, k=2)


def test_unequal_rounds_of_prediction_are_refused():
    pair = [candidate(True, predicted=(1, 1)), candidate(False, predicted=(1,))]
    with pytest.raises(UserError, match=r"got \[1, 2\]"):
        RANKERS["simulate"](pair, 1)
    with pytest.raises(UserError, match=r"got \[0\]"):
        RANKERS["simulate"]([candidate(True, predicted=())], 1)


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_every_ranker_but_random_refuses_k_above_the_candidates(name):
    if name == "random":
        assert RANKERS[name](FOUR, 5) == 0.25
        return
    with pytest.raises(UserError, match="k=5"):
        RANKERS[name](FOUR, 5)


def test_layout_and_comments_do_not_split_a_vote():
    assert program_vote("x=1 # one\n") == program_vote("x = 1")
    assert program_vote("x = 1") != program_vote("x = 2")


@pytest.mark.parametrize("source", ["def (", "a\0b", "(" * 5000 + ")" * 5000])
def test_text_that_does_not_parse_votes_as_text(source):
    assert program_vote(source + "\n") == source


def test_a_refused_completion_is_never_the_shortest():
    refused = dataclasses.replace(candidate(False, num_tokens=1), has_program=False)
    right, wrong = candidate(True, num_tokens=5), candidate(False, num_tokens=9)
    drawn = [refused, right, wrong]
    # Of the three draws of two, the right one wins both that hold it.
    assert RANKERS["shortest"](drawn, 2) == pytest.approx(2 / 3)
    assert RANKERS["shortest"](drawn, 3) == 1.0
    assert RANKERS["shortest"]([refused, refused], 2) == 0.0


def test_refused_completions_are_no_bloc_that_wins_the_majority():
    # Ten programs, each with a vote of its own, five of them right: a tie of ten.
    programs = [candidate(i < 5, vote=str(i)) for i in range(10)]
    assert RANKERS["majority"]([*programs, *[REFUSED] * 10], 20) == 0.5
    # Of the three draws of two from two refused and a right one, two hold it.
    assert RANKERS["majority"]([REFUSED, REFUSED, candidate(True)], 2) == (
        pytest.approx(2 / 3)
    )
    assert RANKERS["majority"]([REFUSED, REFUSED], 2) == 0.0
