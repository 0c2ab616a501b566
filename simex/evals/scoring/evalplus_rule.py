"""The comparison of HumanEval+ and MBPP+ as evalplus makes it.

Runs inside the box, in the process of an untrusted program: standard library only. The
text of this file goes there, see `assert_rules`.

Source: github.com/evalplus/evalplus at v0.3.1, `evalplus/eval/__init__.py` and
`_special_oracle.py` (Liu et al. 2023, arXiv 2305.01210). This code differs in two
points: times are CPU seconds instead of wall seconds, in whole seconds rounded up, and
the reference runs here, before the program, instead of once for all programs.
"""

import builtins
import copy
import math
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

inf, nan = math.inf, math.nan  # as they are written in the inputs
REFERENCE_FAILED = "the reference failed"
_MIN_SECS, _TIMES_REFERENCE = 4.0, 4.0  # for one input
_REL_TOL = 1e-7
_DEFAULT_ATOL = 1e-6  # of floats where a task declares none

Inputs = Sequence[Sequence[Any]]


def compare(
    *,
    source: str,
    reference: str,
    entry: str,
    is_mbpp: bool,
    base: Inputs,
    plus: Inputs,
    atol: float,
) -> bool | str:
    """Does `source` return what the reference returns, on all inputs?

    Whatever the program raises is raised. A program that takes too long over an input
    is ended by SIGXCPU.

    Args:
        source: the program, executed in a namespace of its own, as in
            `rules.runs_through`.
        reference: the same of the reference.
        entry: the function of both that is called.
        is_mbpp: the task is of MBPP+, else of HumanEval+: some names have rules.
        base: arguments of the benchmark's own tests.
        plus: further arguments.
        atol: the tolerance that the task declares, or 0.

    Returns:
        REFERENCE_FAILED if the reference raises an error on an input.
    """
    builtins.exit = builtins.quit = None  # type: ignore[assignment]
    expected = []
    try:
        call = _function_of(reference, entry)
        for arguments in (*base, *plus):
            begin = time.process_time()
            wanted = call(*copy.deepcopy(arguments))
            expected.append((wanted, time.process_time() - begin))
    except Exception:  # noqa: BLE001 (whatever it is, no program is to blame)
        return REFERENCE_FAILED
    call = _function_of(source, entry)
    is_exact = (_OF_MBPP if is_mbpp else _OF_HUMANEVAL).get(entry, _is_equal)
    for inputs, known in ((base, expected[: len(base)]), (plus, expected[len(base) :])):
        tolerance = atol
        for arguments, (wanted, secs) in zip(inputs, known):
            _allow(max(_MIN_SECS, _TIMES_REFERENCE * secs))
            value = call(*copy.deepcopy(arguments))
            is_right = is_exact(value, wanted, arguments, tolerance)
            if not tolerance and _is_floats(wanted):
                tolerance = _DEFAULT_ATOL  # and so it stays for the inputs that follow
            if not is_right and not (tolerance and _is_near(value, wanted, tolerance)):
                return False
    return True


def _function_of(source: str, name: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 (in the box)
    return names[name]


def _allow(secs: float) -> None:
    """The process may use so many CPU seconds from now on, if its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + secs)
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _is_floats(value: Any) -> bool:
    """A float, or a flat list or tuple of nothing but floats."""
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(v, float) for v in value)
    return isinstance(value, float)


def _is_near(value: Any, wanted: Any, atol: float) -> bool:
    """As `numpy.allclose` between results of one type. Raises where it does."""
    return type(value) is type(wanted) and _are_near(value, wanted, atol)


def _are_near(value: Any, wanted: Any, atol: float) -> bool:
    if isinstance(wanted, (list, tuple)) and isinstance(value, (list, tuple)):
        pairs = zip(value, wanted)
        return len(value) == len(wanted) and all(_are_near(*p, atol) for p in pairs)
    distance = abs(value - wanted)  # no text and no set has one that compares
    return distance <= atol + _REL_TOL * abs(wanted) < inf or value == wanted


# What decides before any tolerance: of result, expected result, arguments, tolerance.
IsExact = Callable[[Any, Any, Sequence[Any], float], bool]


def _is_equal(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    return bool(value == wanted)


def _is_same_set(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    return set(value) == set(wanted)


def _is_found_or_not(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    """The reference returns a match object, or None where there is none."""
    is_found = value if isinstance(value, bool) else value is not None
    return is_found == (wanted is not None)


def _ends(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    return True


def _is_equal_or_zero(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    return bool(value == wanted or value == 0)


def _is_a_surface(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    """The reference takes the slant height of a pyramid; its own height is right too."""
    if value == wanted:
        return True
    base, height = arguments
    slant = math.sqrt((base / 2) ** 2 + height**2)
    return abs(value - round(base**2 + 2 * base * slant)) <= atol


def _is_a_distance(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    """The reference pairs digits from the left; with zeros in front is right too."""
    if value == wanted:
        return True
    one, other = map(str, arguments)
    width = max(len(one), len(other))
    pairs = zip(one.zfill(width), other.zfill(width))
    return bool(value == sum(abs(int(a) - int(b)) for a, b in pairs))


def _is_a_root(value: Any, wanted: Any, arguments: Any, atol: float) -> bool:
    (coefficients,) = arguments
    result = sum(c * math.pow(value, i) for i, c in enumerate(coefficients))
    if abs(result) <= atol:
        return True
    raise AssertionError("no root")  # nor is anything near another root


_OF_HUMANEVAL: dict[str, IsExact] = {"find_zero": _is_a_root}
_OF_MBPP: dict[str, IsExact] = {
    "similar_elements": _is_same_set,
    "find_char_long": _is_same_set,
    "common_in_nested_lists": _is_same_set,
    "extract_singly": _is_same_set,
    "larg_nnum": _is_same_set,
    "intersection_array": _is_same_set,
    "find_dissimilar": _is_same_set,
    "Diff": _is_same_set,
    "check_str": _is_found_or_not,
    "text_match_three": _is_found_or_not,
    "text_starta_endb": _is_found_or_not,
    "are_equivalent": _ends,
    "sum_div": _is_equal_or_zero,
    "surface_Area": _is_a_surface,
    "digit_distance_nums": _is_a_distance,
}
