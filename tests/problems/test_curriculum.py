"""The generated curriculum: statements, programs, inputs and the split."""

import ast

import pytest

from simex.core.errors import UserError
from simex.problems.sources.curriculum.draft import draw_drafts, find_split
from simex.problems.sources.curriculum.program import STYLES, render_program
from simex.problems.sources.curriculum.spec import (
    FEEDS,
    REDUCERS,
    Grammar,
    Spec,
    Step,
)

SORTED_SUM = Spec(
    feed="list",
    arrangement="sort",
    steps=(Step(name="even"), Step(name="add", constant=3)),
    reducer="sum",
)


def draw(split, count, seed=0, grammar=Grammar()):
    return list(
        draw_drafts(
            seed,
            split,
            grammar=grammar,
            num_problems=count,
            num_public=3,
            num_hidden=5,
            num_wrong=2,
        )
    )


def test_a_spec_becomes_the_program_that_it_describes():
    assert render_program(SORTED_SUM, "nested") == (
        "a = list(map(int, input().split()))\n"
        "a = sorted(a)\n"
        "t = 0\n"
        "for x in a:\n"
        "    if x % 2 == 0:\n"
        "        y = x + 3\n"
        "        t += y\n"
        "print(t)\n"
    )


def test_the_guarded_style_skips_with_continue_in_a_for_loop():
    program = render_program(SORTED_SUM, "guarded")
    assert "    if not x % 2 == 0:\n        continue\n    y = x + 3\n" in program


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("style", STYLES)
def test_every_program_is_python(feed, reducer, style):
    spec = Spec(feed=feed, arrangement="none", steps=(), reducer=reducer)
    ast.parse(render_program(spec, style))


def test_one_seed_draws_the_same_problems_and_another_seed_others():
    assert draw("train", 5) == draw("train", 5)
    assert draw("train", 5) != draw("train", 5, seed=1)


def test_a_longer_draw_begins_with_a_shorter_one():
    assert draw("train", 9)[:5] == draw("train", 5)


def test_no_composition_lies_in_two_splits():
    compositions = {
        split: {d.composition for d in draw(split, 60)}
        for split in ("train", "validation", "test")
    }
    for split, own in compositions.items():
        assert {find_split(c) for c in own} == {split}
    assert not compositions["train"] & compositions["test"]


@pytest.mark.parametrize(
    "grammar", [Grammar(), Grammar(feeds=("list",), styles=("nested",))]
)
def test_no_program_right_or_wrong_lies_in_two_splits(grammar):
    where = {}
    for split, count in (("train", 300), ("validation", 60), ("test", 150)):
        for d in draw(split, count, grammar=grammar):
            for source in (d.right_program, *d.wrong_programs):
                where.setdefault(source, set()).add(split)
    assert max(map(len, where.values())) == 1


def test_wrong_programs_are_found_where_no_single_slip_stays_in_the_split():
    # Without other maps, filters or arrangements a slip changes the reducer alone, or
    # leaves no step; some of these compositions are alone in their split.
    grammar = Grammar(
        feeds=("list",),
        arrangements=("none",),
        filters=("even",),
        maps=("halve",),
        reducers=("sum", "count", "max"),
        styles=("nested",),
    )
    drafts = draw("train", 4, grammar=grammar)
    assert all(len(set(d.wrong_programs)) == 2 for d in drafts)
    # The only composition of the test split has no constant: there is no other program.
    with pytest.raises(UserError, match=r"even\+halve/max in the split test; 0 were"):
        draw("test", 1, grammar=grammar)


def test_inputs_of_a_problem_are_distinct_and_public_ones_come_first():
    for draft in draw("test", 30):
        inputs = draft.public_inputs + draft.hidden_inputs
        assert len(draft.public_inputs) == 3 and len(inputs) == 8
        assert len(set(inputs)) == 8


def test_a_wrong_program_differs_from_the_right_one():
    for draft in draw("train", 30):
        assert len(set(draft.wrong_programs)) == 2
        assert draft.right_program not in draft.wrong_programs
