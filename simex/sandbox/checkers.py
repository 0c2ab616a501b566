"""Does a program's stdout answer the test? Each source of problems has its own rule.

Checkers run in the driver, on bytes that an untrusted program printed: they stay
linear, never turn a long token into a number, and take nothing for a number that is
not written as one in plain ASCII.
"""

import decimal
import functools
import re
from collections.abc import Callable, Sequence

from simex.core.errors import UserError
from simex.sandbox.literals import check_cruxeval, check_cruxeval_strict

Checker = Callable[[bytes, str], bool]  # (printed stdout, expected stdout) -> accepted

CODECONTESTS_TOLERANCE = 1e-5
# The largest double printed with "%.50f" has 360 characters; as many stay cheap to read.
_MAX_NUMBER_LENGTH = 400
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
# Wide enough for every number a checker parses, whatever the caller's context is.
_EXACT = decimal.Context(prec=_MAX_NUMBER_LENGTH + 2, Emax=9999, Emin=-9999)


def _decode(printed: bytes) -> str | None:
    """None where it is not text, which no test accepts."""
    try:
        return printed.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _trimmed_lines(text: str) -> list[str]:
    """Lines without trailing blanks, and no empty lines at the end."""
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def check_exact(printed: bytes, expected: str) -> bool:
    """Byte for byte."""
    return printed == expected.encode("utf-8", "surrogatepass")


def check_lines(printed: bytes, expected: str) -> bool:
    """Equal lines, after trailing blanks and trailing empty lines are dropped."""
    text = _decode(printed)
    return text is not None and _trimmed_lines(text) == _trimmed_lines(expected)


def make_lines_checker(tolerance: float | None = None) -> Checker:
    """`check_lines`; with a tolerance, numbers may be off by tol * max(1, |expected|).

    The tolerance is for problems that declare one. Integers stay exact even then,
    because doubles cannot tell large ones apart.
    """
    if tolerance is None:
        return check_lines

    def check(printed: bytes, expected: str) -> bool:
        text = _decode(printed)
        if text is None:
            return False
        lines, wanted = _trimmed_lines(text), _trimmed_lines(expected)
        if lines == wanted:
            return True
        return len(lines) == len(wanted) and all(
            _are_tokens_close(a.split(), b.split(), tolerance=tolerance, is_scaled=True)
            for a, b in zip(lines, wanted)
        )

    return check


def check_codecontests(printed: bytes, expected: str) -> bool:
    """The rule of CodeContests: tokens, case ignored, numbers within 1e-5.

    Split on white space, lower-case, same number of tokens, |a - b| < 1e-5 (ValuesMatch
    in execution/tester_sandboxer.cc of google-deepmind/code_contests). Unlike there, two
    integers are compared exactly, because doubles beyond 2**53 run together, and what
    is longer than 400 characters, or no decimal number, is compared as text.
    """
    text = _decode(printed)
    if text is None:
        return False
    return _are_tokens_close(
        text.lower().split(),
        expected.lower().split(),
        tolerance=CODECONTESTS_TOLERANCE,
        is_scaled=False,
    )


def make_kattis_checker(
    tolerance: float | None = None, *, is_case_sensitive: bool = False
) -> Checker:
    """The default validator of Kattis packages: tokens, case ignored, numbers as text.

    (Problem Package Format, "Default Validator Specification".) Tokens stand between
    blanks of ASCII and letters of ASCII have no case. With a tolerance, its
    `float_tolerance`, numbers may be off by tol * max(1, |expected|). Unlike there, two
    integers stay exact even then.
    """

    def check(printed: bytes, expected: str) -> bool:
        wanted_text = expected.encode("utf-8", "surrogatepass")
        if not is_case_sensitive:  # of bytes, `lower` changes ASCII alone
            printed, wanted_text = printed.lower(), wanted_text.lower()
        tokens, wanted = printed.split(), wanted_text.split()
        if tolerance is None or tokens == wanted:
            return tokens == wanted
        return _are_tokens_close(
            [token.decode("latin-1") for token in tokens],
            [token.decode("latin-1") for token in wanted],
            tolerance=tolerance,
            is_scaled=True,
        )

    return check


def check_livecodebench(printed: bytes, expected: str) -> bool:
    """The rule of LiveCodeBench's stdio problems: no tolerance, case matters.

    Both texts are stripped and split into lines, which are stripped too; the numbers
    of lines agree; a pair of lines is equal as text, or both are rows of decimals that
    are exactly equal.
    """
    text = _decode(printed)
    if text is None:
        return False
    lines = [line.strip() for line in text.strip().split("\n")]
    wanted = [line.strip() for line in expected.strip().split("\n")]
    return len(lines) == len(wanted) and all(
        a == b or _are_equal_decimals(a.split(), b.split())
        for a, b in zip(lines, wanted)
    )


def _are_tokens_close(
    tokens: Sequence[str], wanted: Sequence[str], *, tolerance: float, is_scaled: bool
) -> bool:
    return len(tokens) == len(wanted) and all(
        a == b or _are_close(a, b, tolerance=tolerance, is_scaled=is_scaled)
        for a, b in zip(tokens, wanted)
    )


def _are_close(token: str, wanted: str, *, tolerance: float, is_scaled: bool) -> bool:
    if len(token) > _MAX_NUMBER_LENGTH or len(wanted) > _MAX_NUMBER_LENGTH:
        return False
    if not (_NUMBER.fullmatch(token) and _NUMBER.fullmatch(wanted)):
        return False
    if _INTEGER.fullmatch(token) and _INTEGER.fullmatch(wanted):
        return int(token) == int(wanted)
    a, b = float(token), float(wanted)
    difference = abs(a - b)  # inf and nan for numbers beyond doubles: not below
    if is_scaled:
        return difference <= tolerance * max(1.0, abs(b))
    return difference < tolerance


def _are_equal_decimals(tokens: Sequence[str], wanted: Sequence[str]) -> bool:
    if len(tokens) != len(wanted) or not tokens:
        return False
    return all(_is_equal_decimal(a, b) for a, b in zip(tokens, wanted))


def _is_equal_decimal(token: str, wanted: str) -> bool:
    if len(token) > _MAX_NUMBER_LENGTH or len(wanted) > _MAX_NUMBER_LENGTH:
        return token == wanted
    if not (_NUMBER.fullmatch(token) and _NUMBER.fullmatch(wanted)):
        return False
    return _EXACT.create_decimal(token) == _EXACT.create_decimal(wanted)


# Those that know the tolerance which a problem declares.
_TOLERANT: dict[str, Callable[[float | None], Checker]] = {
    "lines": make_lines_checker,
    "kattis": make_kattis_checker,
    "kattis_case": functools.partial(make_kattis_checker, is_case_sensitive=True),
}
CHECKERS: dict[str, Checker] = {
    "lines": check_lines,
    "exact": check_exact,
    "codecontests": check_codecontests,
    "livecodebench": check_livecodebench,
    "kattis": _TOLERANT["kattis"](None),
    "kattis_case": _TOLERANT["kattis_case"](None),
    "cruxeval": check_cruxeval,
    "cruxeval_strict": check_cruxeval_strict,
}


def knows_tolerance(name: str) -> bool:
    """Can a problem declare a tolerance for the checker of that name?"""
    return name in _TOLERANT


def check_tolerance(value: object) -> None:
    """Raises ValueError for what no problem may declare as its tolerance."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < 1):  # type: ignore[operator]
        raise ValueError(
            "float_tol must be null, or a number above 0 and below 1; got "
            f"{value!r:.80}."
        )


def get_checker(name: str, float_tol: float | None = None) -> Checker:
    """The checker of that name; `float_tol` is the tolerance that a problem declares.

    Raises UserError for a name that is not in CHECKERS, and for a tolerance where the
    checker has a rule of its own for numbers.
    """
    if name not in CHECKERS:
        known = ", ".join(CHECKERS)
        raise UserError(f"The checker must be one of {known}; got {name!r}.")
    if float_tol is None:
        return CHECKERS[name]
    if name not in _TOLERANT:
        known = ", ".join(_TOLERANT)
        raise UserError(
            f"A tolerance can be declared for the checkers {known} only; got {float_tol} "
            f"for {name!r}. Leave it out, or name one of these."
        )
    return _TOLERANT[name](float_tol)
