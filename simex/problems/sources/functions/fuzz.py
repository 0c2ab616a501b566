"""Inputs by mutation, guided by coverage: the program that looks for them, its report.

The looking is done in the sandbox by `fuzz_engine`. What comes back is text of a
program that nobody trusts: a call is taken only if it is one of the given calls with
other literals in it.
"""

import dataclasses
import pathlib

from simex.problems.sources.functions import fuzz_engine
from simex.problems.sources.functions.case import FunctionCase, SelectedCase

_ENGINE = pathlib.Path(fuzz_engine.__file__)
_PROGRAM = """{engine}
fuzz({{"__name__": "__main__"}}, {calls!r}, rounds={rounds}, seed={seed},
     source={source!r})
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FuzzReport:
    """The calls that together reach the most code, the first the ones that were given.

    Coverage counts lines of the bodies of functions: by the given calls, by all, and
    how many there are. All are 0 where the program broke off.
    """

    found: tuple[SelectedCase, ...]
    num_lines_given: int = 0
    num_lines_reached: int = 0
    num_lines: int = 0


def render_fuzz(cases: tuple[FunctionCase, ...], *, rounds: int, seed: int) -> str:
    """A program that tries the calls of one function and `rounds` mutations of them."""
    return _PROGRAM.format(
        engine=_ENGINE.read_text("utf-8"),
        calls=[case.call for case in cases],
        rounds=rounds,
        seed=seed,
        source=cases[0].source,
    )


def parse_fuzz(cases: tuple[FunctionCase, ...], stdout: str) -> FuzzReport:
    """Reads what a fuzzing program printed; lines in another form are passed over."""
    by_call = {case.call: case for case in cases}
    shapes = {_shape_of(call) for call in by_call} - {None}
    found: list[SelectedCase] = []
    counts = [0, 0, 0]
    for line in stdout.splitlines():
        words = line.split(" ")
        if words[0] == "covered" and len(words) == 4:
            counts = [int(w) if w.isdecimal() and len(w) < 9 else 0 for w in words[1:]]
            continue
        parsed = _parse_line(words)
        if parsed is None:
            continue
        call, value = parsed
        case = by_call.get(call) or _fuzzed_case(cases[0], call, shapes, len(found))
        if case is not None:
            found.append(SelectedCase(case=case, stdout=f"{value}\n"))
    return FuzzReport(
        found=tuple(found),
        num_lines_given=counts[0],
        num_lines_reached=counts[1],
        num_lines=counts[2],
    )


def _parse_line(words: list[str]) -> tuple[str, str] | None:
    try:
        call, value, _ = words
        texts = (
            bytes.fromhex(call).decode("utf-8"),
            bytes.fromhex(value).decode("utf-8"),
        )
    except ValueError:
        return None
    return texts if len(texts[1]) <= fuzz_engine.MAX_REPR_CHARS else None


def _fuzzed_case(
    case: FunctionCase, call: str, shapes: set[str | None], rank: int
) -> FunctionCase | None:
    if _shape_of(call) not in shapes:
        return None
    function = case.id.rpartition("#")[0]
    return dataclasses.replace(
        case, id=f"{function}#fuzzed-{rank}", call=call, origin="fuzzed"
    )


def _shape_of(call: str) -> str | None:
    """None for a text that is no expression."""
    try:
        return fuzz_engine.shape_of(call)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
