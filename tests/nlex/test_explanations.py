"""From a trace to an explanation, and back to what it states."""

import pytest

from simex.nlex.align import align
from simex.nlex.explanation import Explanation
from simex.nlex.facts import Fact, FactKind, collect_facts
from simex.nlex.grounding import check_grounding, check_text
from simex.nlex.raw_lines import make_raw_lines
from simex.nlex.reading import read_statements
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth
from simex.traces.trace import Event, EventKind, Trace

SOURCE = """\
t = 0
b = []
for x in [4, 7]:
    if x < 5:
        t += x
        b.append(x)
print(t)
"""


def line(number, **changed):
    return Event(
        kind=EventKind.LINE, line=number, function="<module>", depth=0, changed=changed
    )


def make_trace(source, events, stdout=""):
    return Trace(
        source=source,
        stdin="",
        stdout=stdout,
        events=tuple(events),
        is_truncated=False,
        python_version="3.11.7",
    )


@pytest.fixture
def loop_trace():
    return make_trace(
        SOURCE,
        [
            line(1),
            line(2, t="0"),
            line(3, b="[]"),
            line(4, x="4"),
            line(5),
            line(6, t="4"),
            line(3, b="[4]"),
            line(4, x="7"),
            line(3),
            line(7),
        ],
        stdout="4\n",
    )


def test_the_compact_style_gives_an_iteration_a_line(loop_trace):
    explanation = REWRITERS["compact"](loop_trace)
    assert explanation.text == "t=0\nb=[]\nx=4 4 < 5 yes 0 + 4 t=4 b+=4\nx=7 7 < 5 no"
    assert explanation.claimed_output == "4"


def test_the_prose_style_names_each_line(loop_trace):
    text = REWRITERS["prose"](loop_trace).text
    assert text.splitlines()[2:] == [
        "The loop on line 3 runs 2 times.",
        (
            "Iteration 1: On line 3, x becomes 4. The condition 4 < 5 on line 4 holds. "
            "On line 5, t becomes 0 + 4, which is 4. On line 6, b grows by the element 4."
        ),
        (
            "Iteration 2: On line 3, x becomes 7. The condition 7 < 5 on line 4 does not "
            "hold."
        ),
    ]


def test_calls_and_returns_are_told_and_frames_do_not_mix():
    source = "def f(n):\n    m = n + 1\n    return m\nprint(f(2))\n"

    def inner(kind, number, value=None, **changed):
        return Event(
            kind=kind, line=number, function="f", depth=1, changed=changed, value=value
        )

    trace = make_trace(
        source,
        [
            line(4),
            inner(EventKind.CALL, 1, n="2"),
            inner(EventKind.LINE, 2),
            inner(EventKind.LINE, 3, m="3"),
            inner(EventKind.RETURN, 3, value="3"),
        ],
        stdout="3\n",
    )
    assert REWRITERS["compact"](trace).text == "call f\nn=2\n2 + 1 m=3\nreturn 3"


def test_a_frame_left_by_an_exception_is_closed():
    source = "def f(n):\n    return 1 // n\ntry:\n    f(0)\nexcept ZeroDivisionError:\n    y = 1\n"
    failed = Event(
        kind=EventKind.EXCEPTION,
        line=2,
        function="f",
        depth=1,
        changed={},
        value="ZeroDivisionError: integer division or modulo by zero",
    )
    call = Event(kind=EventKind.CALL, line=1, function="f", depth=1, changed={"n": "0"})
    trace = make_trace(source, [line(3), line(4), call, failed, line(5), line(6)])
    facts = collect_facts(trace)
    assert [f.kind for f in facts] == [FactKind.CALL, FactKind.SET, FactKind.RAISE]
    assert facts[-1].line == 1 or facts[-1].line == 2


@pytest.mark.parametrize("style", sorted(REWRITERS))
def test_own_explanations_are_wholly_grounded(loop_trace, style):
    grounding = check_grounding(REWRITERS[style](loop_trace), Truth(loop_trace))
    assert grounding.score == 1.0 and grounding.is_output_right
    assert grounding.completeness == 1.0 and grounding.first_false_start is None


def test_every_statement_of_the_compact_style_is_counted(loop_trace):
    grounding = check_grounding(REWRITERS["compact"](loop_trace), Truth(loop_trace))
    # t=0, b=[], x=4, 4 < 5, yes, 0 + 4, t=4, b+=4, x=7, 7 < 5, no
    assert grounding.num_statements == 11


@pytest.mark.parametrize(
    ("told", "lie"),
    [
        ("t=4", "t=5"),
        ("x=7", "x=8"),
        ("yes", "no"),
        ("b+=4", "b+=3"),
        ("0 + 4", "1 + 4"),
    ],
)
def test_a_changed_value_is_found_with_its_place(loop_trace, told, lie):
    explanation = REWRITERS["compact"](loop_trace)
    text = explanation.text.replace(told, lie)
    grounding = check_grounding(
        Explanation(text=text, claimed_output="4", style="compact"), Truth(loop_trace)
    )
    places = [j.statement.start for j in grounding.false_statements]
    assert places == [text.index(lie)] and grounding.first_false_start == places[0]
    assert grounding.score == 10 / 11


def test_an_explanation_that_states_nothing_has_score_0(loop_trace):
    for style in REWRITERS:
        assert check_text("", Truth(loop_trace), style=style).score == 0.0


def test_a_run_without_facts_is_told_by_saying_nothing():
    truth = Truth(make_trace("print(1)\n", [line(1)], stdout="1\n"))
    assert check_text("", truth).score == 1.0
    assert check_text("t=4", truth).score == 0.0


def test_a_beginning_is_true_and_incomplete(loop_trace):
    grounding = check_text("t=0\nb=[]", Truth(loop_trace))
    assert grounding.score == 1.0
    assert grounding.completeness == 2 / 8  # of t, b, x, yes, t, b+=, x, no


def test_values_with_blanks_brackets_and_quotes_are_read_whole(loop_trace):
    text = "a=[1, (2, 3)] s='x y=3' t=4"
    statements = read_statements(text, "compact", Truth(loop_trace))
    assert [(s.name, s.value) for s in statements] == [
        ("a", "[1, (2, 3)]"),
        ("s", "'x y=3'"),
        ("t", "4"),
    ]


def test_a_list_that_grows_by_one_is_an_append_and_others_are_not():
    source = "a = [1]\na.append(2)\na.extend([3, 4])\na.append([5, 6])\n"
    trace = make_trace(
        source,
        [
            line(1),
            line(2, a="[1]"),
            line(3, a="[1, 2]"),
            line(4, a="[1, 2, 3, 4]"),
            line(4, a="[1, 2, 3, 4, [5, 6]]"),
        ],
    )
    facts = collect_facts(trace)
    assert [(f.kind, f.value) for f in facts] == [
        (FactKind.SET, "[1]"),
        (FactKind.APPEND, "2"),
        (FactKind.SET, "[1, 2, 3, 4]"),
        (FactKind.SET, "[1, 2, 3, 4, [5, 6]]"),
    ]
    assert all(isinstance(fact, Fact) for fact in facts)


def test_a_value_that_an_assignment_leaves_as_it_was_is_told_too():
    source = "t = 5\nfor x in [0, 0]:\n    t += x\nprint(t)\n"
    trace = make_trace(
        source,
        [line(1), line(2, t="5"), line(3, x="0"), line(2), line(3), line(2), line(4)],
    )
    assert REWRITERS["compact"](trace).text == "t=5\nx=0 5 + 0 t=5\nx=0 5 + 0 t=5"


def test_alignment_keeps_what_was_said_first_and_is_as_long_as_can_be():
    assert align([0b001, 0b100, 0b010], 3) == [0, 2, -1]
    assert align([0b010, 0b100, 0b001, 0b1000], 4) == [1, 2, -1, 3]
    assert align([], 2) == [] and align([0, 1], 1) == [-1, 0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_code_are_those_that_python_counts(trace_of, end):
    # A form feed and U+2028 end no line of Python, though `str.splitlines` says so.
    source = end.join(["\x0cx = '\u2028'", "y = 2", "print(y)", ""])
    told = [value for what, value in make_raw_lines(trace_of(source)) if "code" in what]
    assert told == ["1 x = '\u2028'", "2 y = 2", "3 print(y)"]
