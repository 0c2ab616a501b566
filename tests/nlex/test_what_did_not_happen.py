"""What a line did not do is not told, and is found where somebody else tells it.

Programs whose lines do not each run one statement to its end: exceptions that are
caught, several calls from one line, statements over several lines, several in one.
"""

import pytest

from simex.nlex.facts import FactKind, collect_facts
from simex.nlex.grounding import check_grounding, check_text
from simex.nlex.loops import collect_loops
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth


def tell(trace):
    """The prose, whose every statement is true; so are those of the other styles."""
    truth = Truth(trace)
    for rewrite in REWRITERS.values():
        assert check_grounding(rewrite(trace), truth).score == 1.0
    return REWRITERS["prose"](trace).text.splitlines()


def score(text, trace):
    return check_text(text, Truth(trace), style="prose").score


def test_an_assignment_that_raises_assigns_nothing(trace_of):
    trace = trace_of(
        "n = 10\nd = 0\ntry:\n    n = n // d\nexcept ZeroDivisionError:\n    d = 1\n"
        "print(n)\n"
    )
    assert tell(trace) == [
        "On line 1, n becomes 10.",
        "On line 2, d becomes 0.",
        "Line 4 raises ZeroDivisionError: integer division or modulo by zero.",
        "On line 6, d becomes 1. It prints '10'.",
    ]
    lie = "On line 4, n becomes 10 // 0, which is 10."
    assert score(lie, trace) == 0.0


def test_a_condition_that_raises_neither_holds_nor_fails(trace_of):
    trace = trace_of(
        "t = 0\ntry:\n    if int('x') > 3:\n        t = 1\nexcept ValueError:\n"
        "    t = 2\n"
    )
    assert tell(trace)[2] == "On line 6, t becomes 2."
    for lie in ("does not hold", "holds"):
        text = f"The condition on line 3 {lie}."
        assert score(text, trace) == 0.0


def test_a_call_that_raises_leaves_the_variable_as_it_was(trace_of):
    trace = trace_of(
        "def f(v):\n    if v < 0:\n        raise ValueError('no')\n    return v\n"
        "t = 1\nfor v in [-1, 4]:\n    try:\n        t = f(v)\n"
        "    except ValueError:\n        t += 10\n"
    )
    assert tell(trace)[6:9] == [
        (
            "Line 3 raises ValueError: no. Line 8 raises ValueError: no. On line 10, t "
            "becomes 1 + 10, which is 11."
        ),
        "Iteration 2: On line 6, v becomes 4.",
        "The function f is called.",
    ]
    # Of t: 1 on line 5, 11 on line 10 and 4 on line 8; never 1 on line 8.
    facts = [f for f in collect_facts(trace) if f.name == "t"]
    assert [(f.line, f.value) for f in facts] == [(5, "1"), (10, "11"), (8, "4")]


def test_a_statement_after_a_caught_exception_is_told_as_ever(trace_of):
    trace = trace_of(
        "class Calm:\n    def __enter__(self):\n        return self\n"
        "    def __exit__(self, *error):\n        return True\n"
        "t = 1\nfor x in [0, 6]:\n    with Calm():\n        t = 6 // x\n"
    )
    facts = [f for f in collect_facts(trace) if f.name == "t"]
    # The 1 of the second turn is the same as before, and is told: 6 // 6.
    assert [(f.line, f.working, f.value) for f in facts] == [
        (6, "", "1"),
        (9, "6 // 6", "1"),
    ]
    assert tell(trace)


def test_a_second_call_from_one_line_has_a_frame_of_its_own(trace_of):
    trace = trace_of(
        "s = []\ndef f(n):\n    if n > 3:\n        s.append(n)\nf(1); f(5)\n"
    )
    assert tell(trace) == [
        "On line 1, s becomes [].",
        "The function f is called.",
        "On line 2, n becomes 1.",
        "The condition 1 > 3 on line 3 does not hold.",
        "f returns None.",
        "The function f is called.",
        "On line 2, n becomes 5.",
        "The condition 5 > 3 on line 3 holds.",
        "f returns None.",
        "On line 5, s grows by the element 5.",
    ]
    for lie in (
        "On line 3, n becomes 1 > 3, which is 5.",
        "The condition 5 > 3 on line 3 does not hold.",
    ):
        assert score(lie, trace) < 1.0


def test_a_list_that_is_passed_does_not_grow_out_of_that_of_the_call_before(trace_of):
    trace = trace_of("def g(a):\n    return a\nx = g([1]) + g([1, 2])\n")
    assert [(f.kind, f.value) for f in collect_facts(trace) if f.name == "a"] == [
        (FactKind.SET, "[1]"),
        (FactKind.SET, "[1, 2]"),
    ]
    assert tell(trace)


def test_calls_of_a_comprehension_do_not_end_each_others_conditions(trace_of):
    trace = trace_of(
        "s = []\ndef f(v):\n    if v > 3:\n        s.append(v)\n"
        "x = [f(v) for v in [0, 7]]\n"
    )
    facts = collect_facts(trace)
    # The first call ends on its condition: it returned without entering the body.
    assert [f.value for f in facts if f.kind is FactKind.BRANCH] == ["no", "yes"]
    assert [f.line for f in facts if f.name == "v"] == [2, 2]
    assert tell(trace)


def test_a_recursive_call_names_the_line_of_its_parameter(trace_of):
    trace = trace_of(
        "def f(n):\n    if n < 2:\n        return n\n    return f(n - 1) + f(n - 2)\n"
        "print(f(3))\n"
    )
    facts = [f for f in collect_facts(trace) if f.name == "n"]
    assert [(f.line, f.value) for f in facts] == [(1, v) for v in "32101"]
    assert tell(trace)


def test_a_loop_that_a_second_call_runs_is_another_loop(trace_of):
    # `hasattr` takes the exception, so that no event tells the end of the first call.
    trace = trace_of(
        "class P:\n    @property\n    def x(self):\n        for i in [1, 2]:\n"
        "            if i > 1:\n                raise AttributeError\n"
        "p = P()\nn = hasattr(p, 'x'), hasattr(p, 'x')\n"
    )
    loops = collect_loops(trace)
    assert [(loop.line, loop.num_iterations) for loop in loops] == [(4, 2), (4, 2)]
    assert loops[0].end < loops[1].entry
    assert tell(trace).count("The loop on line 4 runs 2 times.") == 2


def test_generators_that_take_turns_do_not_mix(trace_of):
    trace = trace_of(
        "def g(n):\n    while n:\n        yield n\n        n -= 1\n"
        "for p, q in zip(g(2), g(5)):\n    t = p + q\n"
    )
    facts = [f for f in collect_facts(trace) if f.name == "n"]
    # Which of the two goes on is not known, so nothing is worked out.
    assert [(f.value, f.working) for f in facts] == [(v, "") for v in "25140"]
    # Nor is it known how often the loop of either turns; that of line 5 turns twice.
    assert [(loop.line, loop.num_iterations) for loop in collect_loops(trace)] == [
        (5, 2)
    ]
    assert tell(trace)


def test_a_condition_over_two_lines_is_decided_once_and_by_what_runs_next(trace_of):
    source = (
        "a = {}\nb = 3\nif (a > 1 and\n        b > 2):\n    a = 6\nelif (a < 9 and\n"
        "      b > 9):\n    a = 7\nprint(a)\n"
    )
    trace = trace_of(source.format(5))
    assert tell(trace)[2:] == [
        "The condition 5 > 1 and 3 > 2 on line 3 holds.",
        "On line 5, a becomes 6. It prints '6'.",
    ]
    lie = "The condition 5 > 1 and 3 > 2 on line 3 does not hold."
    assert score(lie, trace) == 0.0
    assert tell(trace_of(source.format(0)))[2:] == [
        "The condition 0 > 1 and 3 > 2 on line 3 does not hold.",
        "The condition 0 < 9 and 3 > 9 on line 6 does not hold. It prints '0'.",
    ]


def test_an_assignment_over_three_lines_is_done_at_the_next_statement(trace_of):
    trace = trace_of(
        "def f(v):\n    return v\nx = 3\nx = f(\n    x +\n    1)\nprint(x)\n"
    )
    facts = [f for f in collect_facts(trace) if f.name == "x"]
    assert [(f.line, f.value) for f in facts] == [(3, "3"), (4, "4")]
    assert tell(trace)
    assert score("On line 4, x becomes 3.", trace) == 0.0


def test_a_sum_over_two_lines_is_worked_out_and_told_where_it_changes_nothing(trace_of):
    trace = trace_of("a = 4\nb = 0\na = (a +\n     b)\nprint(a)\n")
    assert tell(trace)[2] == "On line 3, a becomes 4 + 0, which is 4. It prints '4'."


def test_a_loop_with_a_header_over_two_lines_is_one_loop(trace_of):
    trace = trace_of(
        "a = 0\nb = 0\nwhile (a < 3 and\n       b < 9):\n    a += 1\nfor x in [\n"
        "    1,\n    a,\n]:\n    b += x\n"
    )
    loops = [(loop.line, loop.num_iterations) for loop in collect_loops(trace)]
    assert loops == [(3, 3), (6, 2)]
    assert tell(trace)[2:5] == [
        "The loop on line 3 runs 3 times.",
        "Iteration 1:",
        "On line 5, a becomes 0 + 1, which is 1.",
    ]
    assert score("The loop on line 3 runs 3 times.", trace) == 1.0
    assert score("The loop on line 3 runs 0 times.", trace) == 0.0


def test_the_line_that_raises_is_named_within_a_statement(trace_of):
    trace = trace_of(
        "d = 0\nn = 5\ntry:\n    n = max(\n        1 // d,\n        2)\n"
        "except ZeroDivisionError:\n    d = 1\n"
    )
    assert tell(trace)[2:] == [
        "Line 5 raises ZeroDivisionError: integer division or modulo by zero.",
        "On line 8, d becomes 1.",
    ]


def test_a_lambda_in_a_header_decides_no_condition(trace_of):
    trace = trace_of(
        "a = [3, 1]\nif any(map(lambda v: v > 2, a)):\n    a = [0]\nprint(a)\n"
    )
    branches = [f for f in collect_facts(trace) if f.kind is FactKind.BRANCH]
    assert [(f.line, f.value, f.depth) for f in branches] == [(2, "yes", 0)]
    assert tell(trace)


def test_a_body_that_begins_with_a_decorator_is_entered_there(trace_of):
    trace = trace_of(
        "def same(f):\n    return f\nt = 1\nif t > 0:\n    @same\n    def g():\n"
        "        return 1\n"
    )
    branches = [f for f in collect_facts(trace) if f.kind is FactKind.BRANCH]
    assert [(f.line, f.value) for f in branches] == [(4, "yes")]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        # Each had the working of the last statement, 2 + 1.
        ("b = 2\na = 5; c = b + 1\n", ["b=2", "a=5", "c=3"]),
        ("b = 2\nb = 4; c = b + 1\n", ["b=2", "b=4", "c=5"]),
        # t = 3 is not told: nobody sees whether it ran.
        ("t = 3\nif t > 5: t = 3\nprint(t)\n", ["t=3"]),
        ("t = 3\nif t > 2: t = t + 1\nprint(t)\n", ["t=3", "t=4"]),
        ("t = 3\nif (t > 2 and\n    t < 9): t = 5\nprint(t)\n", ["t=3", "t=5"]),
        (
            "def same(f):\n    return f\nx = 1\n@same\ndef g(): x = 1\ny = 3\n",
            ["x=1", "call same", "return <function>", "y=3"],
        ),
        ("x = 3\nb = [0]\na = b[0] = x + 1\n", ["x=3", "b=[0]", "b=[4]", "a=4"]),
    ],
)
def test_statements_that_share_a_line_share_no_working(trace_of, source, told):
    trace = trace_of(source)
    assert sorted(REWRITERS["compact"](trace).text.split("\n")) == sorted(told)
    assert tell(trace)


def test_a_loop_on_one_line_works_nothing_out(trace_of):
    trace = trace_of("t = 3\nfor x in [3, 4]: t += x\nprint(t)\n")
    facts = collect_facts(trace)
    assert not any(fact.working for fact in facts)
    # Interpreters from 3.12 on show the last turn alone.
    assert {(f.name, f.value) for f in facts[-2:]} == {("t", "10"), ("x", "4")}
    assert collect_loops(trace) == [] and tell(trace)


def test_only_what_is_assigned_was_worked_out(trace_of):
    trace = trace_of("a = [1]\nd = {}\nd['k'] = a\na *= 3\n")
    found = [(f.name, f.working) for f in collect_facts(trace) if f.line == 4]
    assert sorted(found) == [("a", "[1] * 3"), ("d", "")]
    trace = trace_of("m = [[0], [1]]\nr = m[0]\nk = [7, 8]\nr += k\n")
    found = [(f.name, f.working) for f in collect_facts(trace) if f.line == 4]
    assert sorted(found) == [("m", ""), ("r", "[0] + [7, 8]")]


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("z = 3\nif z > 5:\n    print('big')\n", ["no"]),
        ("z = 9\nif z > 5:\n    print('big')\n", ["yes"]),
        (
            "def f(a):\n    t = a\n    if a > 3:\n        t = 0\nf(1)\nf(4)\n",
            ["no", "yes"],
        ),
        # The body runs without a line of its own.
        ("def f(n):\n    if n > 2:\n        global z\nf(5)\n", []),
        ("def f(n):\n    if n > 2:\n        x: int\nf(5)\n", []),
        # At a yield nothing is decided yet.
        ("def g():\n    if (yield 1):\n        pass\nnext(g())\n", []),
    ],
)
def test_a_condition_that_does_not_hold_may_be_the_last_thing(trace_of, source, values):
    trace = trace_of(source)
    told = [f.value for f in collect_facts(trace) if f.kind is FactKind.BRANCH]
    assert told == values
    assert tell(trace)
