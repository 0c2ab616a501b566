"""Values as text: exact types there and back, and nothing else."""

import math
import time

import pytest

from simex.sandbox.wire import (
    MAX_DEPTH,
    REFUSED,
    build_value,
    encode_lines,
    encode_value,
    parse_value,
)

VALUES = [
    None,
    True,
    False,
    0,
    -255,
    10**5000,  # more digits than int() takes
    1.5,
    -0.0,
    5e-324,
    math.inf,
    1 - 2j,
    "",
    "é中\0\n",
    "\ud800",  # half of a pair
    b"\xff\n",
    [],
    [1, [2, []], (3,), ()],
    {1, 2},
    frozenset({"a"}),
    {},
    {1: "a", "1": [None], (1, 2): {}},
]


@pytest.mark.parametrize("value", VALUES, ids=[str(n) for n in range(len(VALUES))])
def test_a_value_comes_back_as_it_was_with_its_type(value):
    back = build_value(parse_value(encode_value(value)))
    assert type(back) is type(value)
    assert repr(back) == repr(value) if type(value) is not int else back == value


def test_the_text_is_what_the_module_says():
    assert encode_value([1, "a"]) == b"l2\ni1\ns61\n"
    assert (
        encode_value({"a": (-255, 1.5)})
        == b"m1\ns61\nu2\ni-ff\nd0x1.8000000000000p+0\n"
    )


class Liar(int):
    """Says that it is 42, in every way that it is asked."""

    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

    def __repr__(self):
        return "42"


def _nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [Liar(7), object(), iter([1]), range(2), bytearray(b"a"), type, LOOP, [1, {2: Liar}],
     _nested(MAX_DEPTH + 1)],
)  # fmt: skip
def test_what_is_no_plain_builtin_value_has_no_text(value):
    assert list(encode_lines(value))[-1] == REFUSED
    with pytest.raises(ValueError, match="must be built of None"):
        encode_value(value)


def test_the_deepest_value_that_has_a_text_is_read_back():
    value = _nested(MAX_DEPTH)
    assert build_value(parse_value(encode_value(value))) == value


def test_numpy_values_count_as_what_tolist_makes_of_them():
    numpy = pytest.importorskip("numpy")
    given = [numpy.int64(3), numpy.float32(0.5), numpy.array([[1, 2]]), numpy.True_]
    assert encode_value(given) == encode_value([3, 0.5, [[1, 2]], True])
    assert list(encode_lines(numpy.array([object()])))[-1] == REFUSED


@pytest.mark.parametrize(
    "text",
    [b"", b"i1", b"i1\ni2\n", b"l2\ni1\n", b"l-1\n", b"l99999999999\n", b"x\n", b"i\n",
     b"i1_0\n", b"i0x1\n", b"i+1\n", b"nn\n", b"s6\n", b"s\xff\n", b"sGG\n", b"d\n",
     b"d1e9\r\n", b"d0x1p99999\n", b"d" + b"0" * 99 + b"\n", b"c0x1p0\n", b"m1\ni1\n", b"\n",
     b"?\n", "i\u0663\n".encode(), "l\u0663\n".encode(), b"l1\n" * 201 + b"n\n"],
)  # fmt: skip
def test_other_text_is_refused(text):
    with pytest.raises(ValueError):
        parse_value(text)


def test_reading_hostile_text_is_linear():
    """Each would take minutes or the whole memory if it were taken at its word."""
    start = time.process_time()
    for text in (b"l1\n" * 300_000, b"l999999999\n", b"i" + b"f" * 4_000_000 + b"\n"):
        try:
            parse_value(text)
        except ValueError:
            pass
    assert time.process_time() - start < 2.0
