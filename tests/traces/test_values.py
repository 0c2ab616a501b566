"""The text of a value: Python's own where that is short and safe."""

import collections

import pytest

from simex.traces.values import MAX_TEXT_LENGTH, is_state, render_value


@pytest.mark.parametrize(
    "value",
    [0, -5, True, None, 1.5, float("inf"), 2j, "it's", b"\x00a", [], [1, "a", None]]
    + [(), (1,), (1, (2, [3])), {}, {"a": [1, 2], 3: (4.5,)}, {7}, range(1, 9, 2)]
    + [
        [[0] * 4 for _ in range(4)],
        collections.deque([1, 2]),
        collections.Counter("aab"),
    ]
    + [frozenset({1}), set(), frozenset()],
)
def test_short_builtin_values_read_as_python_writes_them(value):
    assert render_value(value) == repr(value)


@pytest.mark.parametrize(
    "value, text",
    [
        ({3, 11, 2}, "{2, 3, 11}"),  # by size, not by hash
        ({"b", "a"}, "{'a', 'b'}"),
        (list(range(100)), "[" + ", ".join(map(str, range(64))) + ", … 36 more]"),
        ("x" * 300, "'" + "x" * 240 + "'…"),
        (1 << 5000, "<int of 5001 bits>"),
        (collections.defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
        ([[[[[[1]]]]]], "[[[[[[1]]]]]]"),
        ([[[[[[1, "a"], 2]]]]], "[[[[[[…], 2]]]]]"),  # mixed, below five levels
        (object(), "<object>"),
        (iter([1]), "<list_iterator>"),
        ([len], "[<builtin_function_or_method>]"),
        ([int], "[<class int>]"),
    ],
)
def test_other_values_have_a_bounded_text_without_addresses(value, text):
    assert render_value(value) == text


def test_no_value_is_longer_than_the_cap():
    wide = [["a" * 50] * 50] * 50
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert len(render_value(wide)) <= MAX_TEXT_LENGTH + 1
    assert len(render_value(deep)) <= MAX_TEXT_LENGTH + 1
    while deep:  # take it apart flat
        deep = deep[0]


def test_functions_classes_and_modules_are_not_state():
    assert not any(map(is_state, [len, pytest, int, "".join, lambda: 0, EOFError]))
    assert all(map(is_state, [1, "a", [len], None, object()]))
