"""Where simulation breaks, on predictions small enough to read."""

import pytest

from simex.evals.analysis import (
    NO_FALSE,
    break_down,
    describe_prediction,
    is_recursive,
    loop_depth,
)
from simex.nlex.rewriters import REWRITERS
from simex.sandbox.pool import SandboxPool
from simex.tasks.predict_output import render_target
from simex.traces.collect import collect_traces

SUM = "t = 0\nfor x in [3, 80, 1]:\n    if x > 2:\n        t += x\nprint(t)\n"
TWICE = "print(2 * int(input()))\n"


@pytest.fixture(scope="module")
def traces():
    with SandboxPool(1) as pool:
        return list(collect_traces(pool, [(SUM, ""), (TWICE, "4\n")], verify=False))


def describe(trace, thought, is_right, role="right"):
    record = {
        "id": "a",
        "group": "g",
        "role": role,
        "is_right": is_right,
        "text": render_target(thought, "83"),
    }
    return describe_prediction(record, trace, style="compact")


def test_a_true_explanation_has_no_false_statement(traces):
    thought = REWRITERS["compact"](traces[0]).text
    found = describe(traces[0], thought, True)
    assert found["first_false"] is None and found["false_statements"] == 0
    assert found["statements"] > 5 and found["completeness"] == 1.0
    assert found["events"] == len(traces[0].events)
    assert (found["loop_depth"], found["recursion"], found["digits"]) == (1, False, 2)


def test_the_first_false_statement_is_found_with_its_kind_and_text(traces):
    thought = REWRITERS["compact"](traces[0]).text
    assert thought.count("t=83") == 1
    found = describe(traces[0], thought.replace("t=83", "t=84"), False)
    assert found["first_false_text"] == "t=84" and found["first_false_kind"] == "set"
    before = thought[: thought.index("t=83")]
    assert found["first_false"] >= before.count("=") and found["false_statements"] >= 1


@pytest.mark.parametrize(
    "source,depth",
    [
        ("x = 1", 0),
        ("for a in b:\n    while c:\n        pass", 2),
        ("for a in b:\n    pass\nfor a in b:\n    pass", 1),
        ("[a for b in c for a in b]", 2),
        ("for a in b:\n    print([c for c in a])", 2),
        ("def f():\n    for a in b:\n        pass", 1),
        ("def (", 0),
    ],
)
def test_loops_nest_in_statements_and_in_comprehensions(source, depth):
    assert loop_depth(source) == depth


def test_recursion_is_a_call_by_the_functions_own_name():
    assert is_recursive("def f(n):\n    return n and f(n - 1)")
    assert is_recursive("class A:\n    def f(self):\n        return self.f()")
    assert not is_recursive("def f(n):\n    return g(n)\nf(3)")


def test_accuracy_is_told_apart_by_feature(traces):
    thought = REWRITERS["compact"](traces[0]).text
    false = thought.replace("t=83", "t=84")
    records = [
        describe(traces[0], thought, True),
        describe(traces[0], thought, True),
        describe(traces[0], false, False, role="wrong"),
        describe(traces[1], "", True),
    ]
    tables = {b.name: dict(b.rows) for b in break_down(records)}
    assert tables["role"]["right"].value == 1.0 and tables["role"]["wrong"].value == 0.0
    assert tables["loop_depth"]["0"].value == 1.0
    assert tables["loop_depth"]["1"].value == pytest.approx(2 / 3)
    assert tables["false_statements"]["0"].value == 1.0
    assert sum(e.n for e in tables["events"].values()) == 4
    assert tables["first_false_kind"][NO_FALSE].value == 0.75
    assert tables["first_false_kind"]["set"].value == 0.25
    assert sum(e.value for e in tables["first_false_place"].values()) == 1.0
    assert sum(e.n for e in tables["digits"].values()) == 4
