"""Inputs of MBPP+ get back the types that JSON cannot hold."""

import json
import pathlib

import pytest

from simex.problems.rows import BadRecord
from simex.problems.sources.assertions import parse_assertions
from simex.problems.sources.mbpp_inputs import restore_inputs

REAL_FILE = (
    pathlib.Path(__file__).parents[3] / "shared" / "data" / "eval" / "mbpp_plus.jsonl"
)


@pytest.mark.parametrize(
    ("number", "written", "meant"),
    [
        (2, [[3, 4], [5]], [(3, 4), (5,)]),
        (63, [[[1, 2], [3]]], [[(1, 2), (3,)]]),
        (75, [[[6, 24]], 6], [[(6, 24)], 6]),
        (106, [[5], [9, 10]], [[5], (9, 10)]),
        (307, [["HELLO", []], 2, 50], [("HELLO", []), 2, 50]),
        (259, [[[1, 3]], [[6, 7]]], [((1, 3),), ((6, 7),)]),
        (278, [[1, [4, [6]], 10]], [(1, (4, [6]), 10)]),
        (580, [[4, [7, [2, []]]]], [(4, (7, (2, ())))]),
        (722, [{"Ada": [6.2, 70]}, 6.0, 70], [{"Ada": (6.2, 70)}, 6.0, 70]),
        (115, [[[1, 2], [], {}]], [[{1, 2}, {}, {}]]),
        (124, ["0", "1j"], [0.0, 1j]),
        (252, [1], [1 + 0j]),
        (3, [[1], [2]], [[1], [2]]),  # most tasks are about lists
    ],
)
def test_arguments_become_what_the_task_is_about(number, written, meant) -> None:
    (found,) = restore_inputs(number, [written])
    assert repr(list(found)) == repr(meant)  # 0.0 is no 0, and a list is no tuple


@pytest.mark.parametrize(
    ("number", "inputs", "message"),
    [
        (3, "[[1]]", "no lists of arguments"),
        (3, [1], "no lists of arguments"),
        (2, [[1, 2]], "not those of Mbpp/2"),
        (106, [[1]], "not those of Mbpp/106"),
        (252, [["one"]], "not those of Mbpp/252"),
        (722, [[[1]]], "not those of Mbpp/722"),
    ],
)
def test_inputs_of_another_form_are_refused(number, inputs, message) -> None:
    with pytest.raises(BadRecord, match=message):
        restore_inputs(number, inputs)


@pytest.mark.skipif(not REAL_FILE.exists(), reason="MBPP+ is not on this machine")
def test_the_real_base_inputs_are_those_of_the_asserts() -> None:
    num_same, others = 0, set()
    for line in REAL_FILE.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        number = int(record["task_id"].removeprefix("Mbpp/"))
        inputs = restore_inputs(number, record["base_input"])
        restore_inputs(number, record["plus_input"])
        calls = parse_assertions([record["assertion"]]).calls
        if len(calls) == len(inputs):
            found = [tuple(arguments) for arguments in inputs]
            is_same = found == [call.arguments for call in calls]
            num_same += is_same
            others |= set() if is_same else {number}
    # Of 386 tasks whose asserts are all plain calls. Of these six evalplus's own reader
    # makes no more: dicts with keys that are texts, or lists in the place of tuples.
    assert (num_same, others) == (380, {87, 98, 104, 145, 301, 582})
