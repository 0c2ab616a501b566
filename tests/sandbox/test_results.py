"""When a returned value is the expected one. Arithmetic stands beside the numbers."""

import time
import tracemalloc

import pytest

from simex.core.errors import UserError
from simex.sandbox import wire
from simex.sandbox.results import (
    EXACT_RULE,
    LIVECODEBENCH_RULE,
    ExpectedResult,
    ResultRule,
    is_same_result,
    rule_of,
)
from simex.sandbox.wire import encode_value

INF, NAN = float("inf"), float("nan")


def is_right(given, expected, rule=ResultRule()) -> bool:
    return ExpectedResult(expected).find_fault(encode_value(given), rule) is None


@pytest.mark.parametrize(
    "given, expected, by_default, by_exact",
    [
        (3, 3, True, True),
        (3.0, 3, True, False),
        (10**30, 1e30, False, False),  # 1e30 is 2**73 off 10**30
        (2**80, 2.0**80, True, False),
        (10**400, INF, False, False),
        (True, 1, False, False),
        (0, False, False, False),
        (None, False, False, False),
        ("1", 1, False, False),
        ("a", b"a", False, False),
        ((1, 2), [1, 2], True, False),
        ([(1, 2)], [[1, 2]], True, False),
        ({1, 2}, [1, 2], False, False),
        ({2, 1}, {1, 2}, True, True),
        (frozenset({1}), {1}, True, False),
        ({(1, 2)}, {(1, 2)}, True, True),
        ({1: 2}, {"1": 2}, False, False),
        ({1.0: 2}, {1: 2}, True, False),
        ({True: 2}, {1: 2}, False, False),
        ({"a": 1, "b": [2]}, {"b": (2,), "a": 1.0}, True, False),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, False, False),
        ([], None, False, False),
        ([], [[]], False, False),
        ([1, 2], [1, 2, 3], False, False),
        ([[1], [2]], [[1, 2], []], False, False),
        (0.1 + 0.2, 0.3, False, False),
        (-0.0, 0.0, True, False),
        (NAN, 1.0, False, False),
        (NAN, NAN, False, False),
        (INF, INF, True, True),
        (INF, -INF, False, False),
        (1 + 2j, 1 + 2j, True, True),
        (1 + 0j, 1, False, False),
    ],
)
def test_values_are_the_same_by_type_and_parts(given, expected, by_default, by_exact):
    assert is_right(given, expected) is by_default
    assert is_right(given, expected, EXACT_RULE) is by_exact


@pytest.mark.parametrize("expected", [1, 0, True, 2.0, "a", [[1, 2], 1], {"a": [True]}])
@pytest.mark.parametrize(
    "given",
    [
        *(1, True, False, 0.0, 1.0, 2, "a", None),
        *([[1, 2], True], [[1.0, 2], 1], ([1, 2], 1), [(1, 2), 1], ((1, 2), 1)),
        *({"a": [1]}, {"a": (True,)}, {True: [1]}, [{"a": [True]}]),
    ],
)
def test_livecodebench_compares_as_python_does_after_an_outermost_tuple(
    given, expected
):
    wanted = (list(given) if isinstance(given, tuple) else given) == expected
    assert is_right(given, expected, rule_of("livecodebench")) is wanted


@pytest.mark.parametrize(
    "given, expected, answer",
    [
        (0.3000004, 0.3, True),  # 4e-7 <= 1e-5 * max(1, 0.3)
        (0.30002, 0.3, False),  # 2e-5
        (1000005.0, 1000000.0, True),  # 5 <= 1e-5 * 1e6 = 10
        (1000020.0, 1000000.0, False),
        (2.999999, 3, True),  # one of them is a float
        (10**15 + 1, 10**15, False),  # two integers are exact
        (10**400, 1.0, False),
        (True, 1.0, False),
        (NAN, 1.0, False),
        (INF, 1e308, False),
        ([(0.1 + 0.2, 1)], [[0.3, 1]], True),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, True),
        ({0.1 + 0.2: 1}, {0.3: 1}, False),  # keys are exact
    ],
)
def test_a_declared_tolerance_is_for_floats(given, expected, answer):
    assert is_right(given, expected, ResultRule(float_tol=1e-5)) is answer
    assert is_right(given, expected) is False or given == expected


@pytest.mark.parametrize("text", [b"", b"?\n", b"l1\n?\n", b"i01\n", b"junk\n", b"i1"])
def test_text_that_no_honest_child_writes_is_not_the_value(text):
    assert ExpectedResult(1).find_fault(text) is not None
    assert ExpectedResult([1]).find_fault(text) is not None


def test_a_result_of_another_size_is_never_taken_apart():
    """A million values would be 100 MB of nodes; what is expected bounds the memory."""
    text = b"l1000000\n" + b"n\n" * 1_000_000
    expected = ExpectedResult([None])
    tracemalloc.start()
    try:
        assert expected.find_fault(text) is not None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_keys_with_one_hash_cost_no_more_than_others():
    """As a dict, 30,000 keys of one hash would take minutes."""
    step = 2**61 - 1  # every multiple of it has the hash 0
    given = b"m30000\n" + b"".join(b"i%x\nn\n" % (n * step) for n in range(30_000))
    expected = ExpectedResult({n: None for n in range(30_000)})
    start = time.process_time()
    assert expected.find_fault(given) is not None
    assert time.process_time() - start < 2.0


def test_the_checker_of_a_problem_names_the_rule():
    assert rule_of("lines", 1e-5) == ResultRule(float_tol=1e-5)
    assert rule_of("livecodebench") == LIVECODEBENCH_RULE != ResultRule()
    assert rule_of("exact") == EXACT_RULE
    with pytest.raises(UserError, match="no tolerance"):
        rule_of("exact", 1e-5)
    with pytest.raises(UserError, match="'livecodebench' allows no tolerance"):
        rule_of("livecodebench", 1e-5)


def test_two_results_are_the_same_whatever_order_their_sets_were_written_in():
    one, other = b"l1\nS2\ni1\ni2\n", b"l1\nS2\ni2\ni1\n"
    assert is_same_result(one, other)
    assert not is_same_result(one.replace(b"S", b"l"), other.replace(b"S", b"l"))
    assert not is_same_result(encode_value(1), encode_value(1.0))
    assert is_same_result(encode_value(NAN), encode_value(NAN))  # as it was before
    assert is_same_result(b"", b"") and not is_same_result(b"i1\n", b"?12")
    # nan beside a set in another order: it repeats all the same.
    with_nan = b"l2\ndnan\n"
    assert is_same_result(with_nan + one[3:], with_nan + other[3:])


def test_long_results_that_differ_are_not_taken_apart(monkeypatch):
    monkeypatch.setattr(wire, "parse_value", None)  # calling it would be an error
    long = encode_value(list(range(100_000)))
    assert not is_same_result(long, long[:-2] + b"0\n")
