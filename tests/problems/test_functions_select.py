"""The probe program, its report, and the choice of cases."""

import subprocess
import sys

import pytest

from simex.problems.sources.functions import (
    CallOutcome,
    Finding,
    FunctionCase,
    SelectedCase,
    is_held_out,
    parse_probe,
    render_probe,
    select_cases,
)

SOURCE = """\
def f(n):
    if n == 1:
        raise KeyError(n)
    if n == 2:
        print("printed")
    if n == 3:
        return "x" * 300
    if n == 4:
        return object()
    if n == 5:
        return [{"a", "b"}]
    while n == 6:
        pass
    return {"n": n, "é": "\\n"}"""


def case(rank: int, call: str = "f()", **fields) -> FunctionCase:
    values = {
        "id": f"m:f#{rank}",
        "group": "m.py",
        "entry": "f",
        "source": SOURCE,
        "call": call,
        "license": "MIT",
        "module": "m",
        "origin": "generated",
    }
    return FunctionCase(**values | fields)


def value(rank: int, text: str, **fields) -> CallOutcome:
    return CallOutcome(case=case(rank, **fields), finding=Finding.VALUE, value=text)


def test_a_probe_reports_each_call_on_its_own():
    cases = tuple(case(n, f"f({n})") for n in range(8))
    run = subprocess.run(
        [sys.executable, "-I", "-c", render_probe(cases)],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    outcomes = parse_probe(cases, run.stdout)
    assert [o.case for o in outcomes] == list(cases)
    assert [(o.finding, o.value) for o in outcomes] == [
        (Finding.VALUE, "{'n': 0, 'é': '\\n'}"),
        (Finding.RAISED, None),
        (Finding.PRINTED, None),
        (Finding.TOO_LONG, None),
        (Finding.ADDRESS, None),
        (Finding.UNORDERED, None),
        (Finding.TOO_SLOW, None),
        (Finding.VALUE, "{'n': 7, 'é': '\\n'}"),
    ]


def test_a_report_that_breaks_off_or_lies_is_read_as_far_as_it_goes():
    cases = tuple(case(n) for n in range(4))
    # "37" is the hexadecimal form of the character 7.
    stdout = "0 value 37\n1 slow \nnonsense\n9 value 37\n2 value zz\n3 val"
    assert [o.finding for o in parse_probe(cases, stdout)] == [
        Finding.VALUE,
        Finding.TOO_SLOW,
        Finding.NOT_REPORTED,
        Finding.NOT_REPORTED,
    ]


def test_a_probe_of_two_functions_is_refused():
    with pytest.raises(ValueError, match="got 2 texts"):
        render_probe((case(0), case(1, source="def f(): pass")))


def test_new_values_are_chosen_before_repeated_ones():
    outcomes = [value(0, "1"), value(1, "1"), value(2, "2"), value(3, "3")]
    chosen = select_cases(outcomes, 2)
    assert chosen == [
        SelectedCase(case=case(0), stdout="1\n"),
        SelectedCase(case=case(2), stdout="2\n"),
    ]


def test_a_function_that_always_returns_the_same_gives_two_cases_at_most():
    outcomes = [value(rank, "True") for rank in range(6)]
    assert [s.case.id for s in select_cases(outcomes, 4)] == ["m:f#0", "m:f#1"]


def test_calls_that_a_person_wrote_are_chosen_first():
    outcomes = [value(0, "1"), value(1, "2"), value(2, "3", origin="doctest")]
    assert [s.case.id for s in select_cases(outcomes, 2)] == ["m:f#2", "m:f#0"]


def test_functions_that_return_nothing_or_change_nothing_are_left_out():
    idle = "(a := [1, 2], f(a))[0]"
    assert select_cases([value(0, "None"), value(1, "None")], 3) == []
    assert select_cases([value(0, "[1, 2]", call=idle)], 3) == []
    assert len(select_cases([value(0, "[2, 1]", call=idle)], 3)) == 1


def test_each_function_is_chosen_for_itself():
    outcomes = [value(0, "1"), value(1, "1", entry="g"), value(2, "1", group="n.py")]
    assert len(select_cases(outcomes, 1)) == 3
    with pytest.raises(ValueError, match="per_function must be at least 1; got 0"):
        select_cases(outcomes, 0)


def test_a_group_stays_on_its_side_of_the_split():
    groups = [f"folder/{n}.py" for n in range(1000)]
    held_out = [g for g in groups if is_held_out(g, fraction=0.3, seed=0)]
    # 300 expected, standard deviation sqrt(1000 * 0.3 * 0.7) = 14.5
    assert 240 <= len(held_out) <= 360
    assert held_out == [g for g in groups if is_held_out(g, fraction=0.3, seed=0)]
    assert held_out != [g for g in groups if is_held_out(g, fraction=0.3, seed=1)]


def test_a_finding_has_no_truth_value():
    with pytest.raises(TypeError, match="finding.is_value"):
        bool(Finding.RAISED)
