"""The comparison of HumanEval+ and MBPP+ is evalplus's, case by case.

Programs here are our own, so they run in this process; `test_scoring` runs the same in
the sandbox. Each expectation follows from evalplus's `unsafe_execute` by hand.
"""

import resource

import pytest

from simex.evals.scoring import evalplus_rule
from simex.evals.scoring.evalplus_rule import REFERENCE_FAILED, compare


@pytest.fixture(autouse=True)
def no_limit_of_this_process(monkeypatch) -> None:
    monkeypatch.setattr(evalplus_rule, "_allow", lambda secs: None)
    for name in ("exit", "quit"):
        monkeypatch.setattr(f"builtins.{name}", None, raising=False)


def _is_right(value, wanted, *, entry="f", arguments=(), atol=0.0, is_mbpp=True):
    """Of a program and a reference that return the two expressions; errors are False."""
    sources = [
        f"import math, re\ndef {entry}(*a):\n    return {text}\n"
        for text in (value, wanted)
    ]
    try:
        return compare(
            source=sources[0],
            reference=sources[1],
            entry=entry,
            is_mbpp=is_mbpp,
            base=[],
            plus=[arguments],
            atol=atol,
        )
    except Exception:  # noqa: BLE001 (as the box, which calls it a runtime error)
        return False


@pytest.mark.parametrize(
    ("value", "wanted", "is_right"),
    [
        ("1.0", "1", True),  # equal, whatever the types
        ("True", "1", True),
        ("[1]", "(1,)", False),
        ("5.0000005", "5", False),  # the reference gives no float
        ("5", "5.0000005", False),  # near, but of another type
        ("5.0000005", "5.0", True),  # 5e-7 <= 1e-6 + 1e-7 * 5 = 1.5e-6
        ("5.000002", "5.0", False),
        ("1e9 + 100", "1e9", True),  # 100 <= 1e-6 + 1e-7 * 1e9
        ("1e9 + 101", "1e9", False),
        ("[0.5, 1.0 + 1e-7]", "[0.5, 1.0]", True),
        ("(0.5, 1.0 + 1e-7)", "[0.5, 1.0]", False),
        ("[0.5]", "[0.5, 1.0]", False),
        ("[0.5, 1 + 1e-7]", "[0.5, 1]", False),  # not all of it is floats
        ("[[1.0 + 1e-7]]", "[[1.0]]", False),  # it is not flat
        ("{'a': 1.0 + 1e-7}", "{'a': 1.0}", False),
        ("math.inf", "math.inf", True),
        ("0.0", "math.inf", False),
        ("1e300", "-math.inf", False),
        ("math.inf", "0.0", False),
        ("math.nan", "math.nan", False),
        ("None", "None", True),
        ("0", "None", False),
    ],
)
def test_results_are_equal_or_floats_that_are_near(value, wanted, is_right) -> None:
    assert _is_right(value, wanted) is is_right
    assert _is_right(value, wanted, is_mbpp=False) is is_right


def test_a_declared_tolerance_is_of_all_numbers_in_a_result() -> None:
    assert _is_right("[[1, 2.00001]]", "[[1, 2.0]]", atol=1e-4) is True
    assert _is_right("[[1, 2.001]]", "[[1, 2.0]]", atol=1e-4) is False
    assert _is_right("['a', 2.00001]", "['a', 2.0]", atol=1e-4) is False
    assert _is_right("['a', 2.0]", "['a', 2.0]", atol=1e-4) is True


def test_from_the_first_float_on_whole_numbers_may_be_near_too() -> None:
    reference = "def f(x):\n    return [[x]]\n"
    program = "def f(x):\n    return [[x + 1e-7]]\n"
    either = "\n    if x == 7: return 0.5\n"
    task = {"entry": "f", "is_mbpp": True, "atol": 0.0, "base": [[7]]}
    for inputs, is_right in (([[1.0]], False), ([[7], [1.0]], True)):
        found = compare(
            source=program.replace("\n", either, 1),
            reference=reference.replace("\n", either, 1),
            plus=inputs,
            **task,
        )
        # The tolerance that the base input brought in is forgotten for the plus inputs.
        assert found is is_right


SAME_SET = (
    "similar_elements",
    "find_char_long",
    "common_in_nested_lists",
    "extract_singly",
    "larg_nnum",
    "intersection_array",
    "find_dissimilar",
    "Diff",
)
FOUND = ("check_str", "text_match_three", "text_starta_endb")


@pytest.mark.parametrize("entry", SAME_SET)
def test_eight_tasks_of_mbpp_compare_sets(entry) -> None:
    assert _is_right("[2, 1, 1]", "(1, 2)", entry=entry) is True
    assert _is_right("[1, 3]", "(1, 2)", entry=entry) is False
    assert _is_right("None", "(1, 2)", entry=entry) is False  # no set of it
    assert _is_right("[2, 1]", "(1, 2)", entry=entry, is_mbpp=False) is False


@pytest.mark.parametrize("entry", FOUND)
def test_three_tasks_of_mbpp_ask_whether_something_is_found(entry) -> None:
    match, nothing = "re.search('a', 'ba')", "re.search('a', 'b')"
    for found in (match, "True", "'Found a match!'", "0"):
        assert _is_right(found, match, entry=entry) is True
        assert _is_right(found, nothing, entry=entry) is False
    for missing in (nothing, "False"):
        assert _is_right(missing, nothing, entry=entry) is True
        assert _is_right(missing, match, entry=entry) is False


def test_of_are_equivalent_every_value_passes_that_comes_without_an_error() -> None:
    assert _is_right("'anything'", "True", entry="are_equivalent") is True
    assert _is_right("1 / 0", "True", entry="are_equivalent") is False


def test_of_sum_div_zero_passes() -> None:
    results = [_is_right(v, "7", entry="sum_div") for v in ("7", "0", "6")]
    assert results == [True, True, False]


def test_of_surface_area_a_pyramid_with_its_own_height_passes() -> None:
    # b = 6, h = 4: slant sqrt(3² + 4²) = 5, so 36 + 2 * 6 * 5 = 96; the reference takes
    # 4 for the slant: 36 + 2 * 6 * 4 = 84.
    reference = "2 * a[0] * a[1] + a[0] ** 2"
    task = {"entry": "surface_Area", "arguments": (6, 4)}
    for value, is_right in (("84", True), ("96", True), ("96.5", False), ("90", False)):
        assert _is_right(value, reference, **task) is is_right


def test_of_digit_distance_the_shorter_number_may_be_padded() -> None:
    # 23 and 156: the reference says |2 - 1| + |3 - 5| = 3; padded, 1 + 3 + 3 = 7.
    reference = "sum(abs(int(x) - int(y)) for x, y in zip(str(a[0]), str(a[1])))"
    task = {"entry": "digit_distance_nums", "arguments": (23, 156)}
    for value, is_right in (("3", True), ("7", True), ("5", False)):
        assert _is_right(value, reference, **task) is is_right


def test_of_find_zero_any_root_passes_and_nothing_near_another() -> None:
    # x² - 4 at 2.00002 is 8.0e-5, at 2.00004 1.6e-4, though both are near 2.
    task = {"entry": "find_zero", "arguments": ([-4, 0, 1],), "atol": 1e-4}
    for value, is_right in (("-2.0", True), ("2.00002", True), ("2.00004", False)):
        assert _is_right(value, "2.0", is_mbpp=False, **task) is is_right


def test_a_reference_that_fails_is_told_apart_and_arguments_are_copied() -> None:
    assert _is_right("1", "1 / 0") == REFERENCE_FAILED
    assert _is_right("1 / 0", "1") is False
    popped = "a[0].pop()"  # the program gets the list that the reference got
    assert _is_right(popped, popped, arguments=([1, 2],)) is True


def test_an_input_gets_four_seconds_or_four_times_the_reference(monkeypatch) -> None:
    allowed, clock = [], iter([0.0, 0.5, 0.5, 3.5])  # the reference: 0.5 s, then 3 s
    monkeypatch.setattr(evalplus_rule, "_allow", allowed.append)
    monkeypatch.setattr(evalplus_rule.time, "process_time", lambda: next(clock))
    source = "def f(x):\n    return x\n"
    task = {"entry": "f", "is_mbpp": True, "atol": 0.0}
    assert compare(source=source, reference=source, base=[[1]], plus=[[2]], **task)
    assert allowed == [4.0, 12.0]  # max(4, 4 * 0.5) and 4 * 3


@pytest.mark.parametrize(
    ("hard", "soft"), [(resource.RLIM_INFINITY, 105), (110, 105), (103, 103)]
)
def test_the_limit_of_cpu_time_stays_below_the_hard_one(
    monkeypatch, hard, soft
) -> None:
    monkeypatch.undo()
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: limits.append(new))
    monkeypatch.setattr(evalplus_rule.time, "process_time", lambda: 100.2)
    evalplus_rule._allow(4.0)  # ceil(100.2 + 4) = 105
    assert limits == [(soft, hard)]
