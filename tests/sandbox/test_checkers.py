"""Golden cases of each checker. The rules are quoted in `sandbox/checkers.py`."""

import time

import pytest

from simex.core.errors import UserError
from simex.sandbox.checkers import CHECKERS, get_checker, make_lines_checker


@pytest.mark.parametrize(
    "printed, expected, is_right",
    [
        ("1 2\n3\n", " 1\t2 3", True),  # blanks are all the same
        ("YES", "Yes", True),
        ("1.0", "1", False),  # no tolerance: a number is a word
        ("0.333333", "0.333334", False),
        ("1 2", "1 2 3", False),
        ("É", "é", False),  # letters of ASCII alone have no case
        ("1\u00a02", "1 2", False),
    ],
)
def test_kattis_compares_words(printed, expected, is_right):
    assert CHECKERS["kattis"](printed.encode(), expected) is is_right


def test_kattis_minds_case_and_tolerance_where_a_package_declares_them():
    assert not CHECKERS["kattis_case"](b"YES\n", "Yes")
    assert CHECKERS["kattis_case"](b"Yes\n\n", "Yes")
    check = get_checker("kattis", 1e-4)
    # Off by 1e-4 at most, or by 1e-4 of 20: 20.001 is, 20.003 is not.
    assert check(b"area: 0.00005 20.001", "Area:\n0.0 20")
    assert not check(b"area: 0.00005 20.003", "Area:\n0.0 20")
    assert not check(b"\xff 1.5", "a 1.5")
    assert not check(b"1000000000000000001", "1000000000000000002")
    assert not get_checker("kattis_case", 1e-4)(b"area: 1.0", "Area: 1")


@pytest.mark.parametrize(
    "printed, expected, is_right",
    [
        ("1 2\n3\n", "1 2\n3\n", True),
        ("1 2  \n3\n\n\n", "1 2\n3", True),  # trailing blanks, trailing empty lines
        ("1\r\n2\r\n", "1\n2\n", True),
        ("", "", True),
        ("\n", "", True),
        ("1\n", "1\n2\n", False),  # a prefix is not an answer
        ("1\n2\n", "1\n", False),
        (" 1\n", "1\n", False),  # leading blanks count
        ("1\n\n2\n", "1\n2\n", False),  # and so do empty lines between others
        ("YES\n", "Yes\n", False),
        ("1.0\n", "1\n", False),
        ("1\u200b\n", "1\n", False),
        ("1\u00a02\n", "1 2\n", False),
    ],
)
def test_lines_compares_trimmed_lines(printed, expected, is_right):
    assert CHECKERS["lines"](printed.encode(), expected) is is_right


@pytest.mark.parametrize(
    "printed, expected, tolerance, is_right",
    [
        ("0.3333334", "0.33333333333", 1e-5, True),  # off by 1e-7
        ("0.3343", "0.33333333333", 1e-5, False),  # off by 1e-3
        ("1000005.0", "1000000.0", 1e-5, True),  # 5 <= 1e-5 * 1000000 = 10
        ("1000020.0", "1000000.0", 1e-5, False),  # 20 > 10
        ("1e-05", "0.00001", 1e-9, True),
        ("-0.0", "0.0", 1e-5, True),
        ("nan", "1.5", 1e-5, False),
        ("inf", "1e308", 1e-5, False),
        ("inf", "inf", 1e-5, True),  # equal as text
        # Equal as doubles, because 2**53 < 10**18.
        ("1000000000000000001", "1000000000000000002", 1e-5, False),
        ("1_0", "10", 1e-5, False),
        ("٣", "3", 1e-5, False),  # a digit to Python, not to us
        ("1e999999999", "1", 1e-5, False),
        ("1 2", "1\n2", 1e-5, False),  # lines stay lines
    ],
)
def test_a_declared_tolerance_is_for_numbers_only(
    printed, expected, tolerance, is_right
):
    check = make_lines_checker(tolerance)
    assert check(printed.encode(), expected) is is_right


@pytest.mark.parametrize(
    "printed, expected, is_right",
    [
        ("YES\n", "yes", True),  # case does not matter
        ("1 2\n3", "1\n2 3\n", True),  # nor does the kind of white space
        ("0.500009", "0.5", True),  # 9e-6 < 1e-5
        ("0.50002", "0.5", False),  # 2e-5
        ("100000.5", "100000.6", False),  # absolute, never relative
        ("1.0", "1", True),
        (f"{1 / 3:.50f}", "0.333333", True),  # 52 characters, off by 3.3e-7
        (f"{1e300:.50f}", f"{1e300:.1f}", True),
        ("0." + "3" * 400, "0.3333333333", False),  # too long to be a number
        ("9007199254740993", "9007199254740992", False),  # 2**53 + 1, equal as doubles
        ("1 2", "1 2 3", False),
        ("", "", True),
        ("nan", "1", False),
    ],
)
def test_codecontests_compares_tokens_within_an_absolute_tolerance(
    printed, expected, is_right
):
    assert CHECKERS["codecontests"](printed.encode(), expected) is is_right


@pytest.mark.parametrize(
    "printed, expected, is_right",
    [
        ("\n 1 2 \n3\n\n", "1 2\n3", True),
        ("1.0 2\n", "1 2.00\n", True),  # exactly equal decimals
        ("0.1", "0.10000000000000000001", False),  # no tolerance at all
        ("0.5" + "0" * 47, "0.5", True),
        ("Yes", "YES", False),
        ("1 2\n", "1\n2\n", False),
        ("1e0", "1", True),
        ("a 1", "a 1.0", False),  # a row with a word in it is text
        ("1\n\n2", "1\n2", False),
    ],
)
def test_livecodebench_compares_lines_as_text_or_exact_decimals(
    printed, expected, is_right
):
    assert CHECKERS["livecodebench"](printed.encode(), expected) is is_right


@pytest.mark.parametrize(
    "printed, expected, official, strict",
    [
        ("[1, 2]\n", "[1,2]", True, True),
        ("[True, 2.0]", "[1, 2]", True, False),
        ("(1, 2)", "[1, 2]", False, False),
        ("{1, 2}", "{2, 1}", True, True),
        ("{2: 'b', 1: 'a'}", "{1: 'a', 2: 'b'}", True, True),
        ("{True: 'a'}", "{1: 'a'}", True, False),
        ("-0.0", "0.0", True, False),
        ("'a'", '"a"', True, True),
        ("a", "'a'", False, False),
        ("1 + 1", "2", False, False),  # an expression is for the box to run
        ("1e999", "1", False, False),
        ("1e999 - 1e999", "1", False, False),
        ("None", "None", True, True),
        ("", "''", False, False),
        ("4)", "4", False, False),
        ("[" * 3000 + "]" * 3000, "[]", False, False),
        ("-" * 9000 + "1", "1", False, False),
        ("9" * 9000, "9", False, False),
        ("1  # " + "x" * 10_000, "1", False, False),  # too long to be an answer
        (" 4\n", "4", True, True),
        ("4.0", "4", True, False),
        ("['ab', 1]", "['ab', True]", True, False),
        ("(1, [2])", "(1, [2])", True, True),
        ("(1, [2], 3)", "(1, [2])", False, False),
        ("f(3)", "4", False, False),
        ("'a", "'a'", False, False),
    ],
)
def test_cruxeval_compares_literals(printed, expected, official, strict):
    assert CHECKERS["cruxeval"](printed.encode(), expected) is official
    assert CHECKERS["cruxeval_strict"](printed.encode(), expected) is strict


def test_exact_compares_bytes():
    assert CHECKERS["exact"](b"1 \n", "1 \n")
    assert not CHECKERS["exact"](b"1\n", "1 \n")


@pytest.mark.parametrize("name", CHECKERS)
def test_bytes_that_are_no_text_are_wrong_and_harmless(name):
    assert not CHECKERS[name](b"\xff\xfe", "x")


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_stays_fast_on_huge_tokens(name):
    # int() of a million digits alone would take seconds.
    long = "9" * 1_000_000
    start = time.process_time()
    assert not CHECKERS[name]((long + "8").encode(), long + "9")
    assert not CHECKERS[name](b"1e999999999", "1")
    assert time.process_time() - start < 1.0


def test_an_unknown_checker_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="lines, exact, codecontests, livecodebench"):
        get_checker("lnies")
