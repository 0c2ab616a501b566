"""One program that tries many calls of one function, and the reading of its report.

The probe runs in the sandbox. For each call it prints a line of its own when the call
has ended, and it interrupts a call that takes too long. After a few of these, or a call
that cannot be interrupted because it hangs in C code, the calls that follow are lost.
"""

import dataclasses
import enum

from simex.problems.sources.functions.case import FunctionCase

MAX_REPR_CHARS = 200
MAX_CALL_SECS = 0.25
MAX_SLOW_CALLS = 3  # then the probe gives up

# Double underscores, so that no name of the function's own program is taken.
_PROBE = """
import io as __simex_io, signal as __simex_signal, sys as __simex_sys
class __simex_TooSlow(BaseException):
    pass
def __simex_interrupt(number, frame):
    raise __simex_TooSlow
def __simex_is_unordered(value):
    if isinstance(value, (set, frozenset)):
        return len(value) > 1 and not all(isinstance(x, (int, float)) for x in value)
    if isinstance(value, dict):
        return any(__simex_is_unordered(x) for x in value.values())
    return isinstance(value, (list, tuple)) and any(map(__simex_is_unordered, value))
def __simex_probe(calls):
    out = __simex_sys.stdout
    signal, timer = __simex_signal, __simex_signal.ITIMER_VIRTUAL
    signal.signal(signal.SIGVTALRM, __simex_interrupt)
    num_slow = 0
    for index, call in calls:
        kind, text = "raised", ""
        printed = __simex_sys.stdout = __simex_io.StringIO()
        try:
            signal.setitimer(timer, {secs})
            value = eval(call, globals())
            kind, text = "value", repr(value)
            kind = "unordered" if __simex_is_unordered(value) else kind
        except __simex_TooSlow:
            kind = "slow"
            num_slow += 1
        except BaseException:
            kind = "raised"
        signal.setitimer(timer, 0)
        __simex_sys.stdout = out
        if printed.getvalue():
            kind = "printed"
        text = text[:{shown}].encode("utf-8", "surrogatepass").hex()
        out.write(f"{{index}} {{kind}} {{text}}\\n")
        out.flush()
        if num_slow == {max_slow}:
            return
__simex_probe({calls})
"""


class Finding(enum.Enum):
    """What became of one call."""

    VALUE = "value"
    RAISED = "raises an error"
    PRINTED = "prints"
    TOO_SLOW = "is too slow"
    TOO_LONG = "has a long repr"
    ADDRESS = "shows an address"
    UNORDERED = "returns a set in no order"  # that of hashes of texts
    NOT_REPORTED = "is never reached"

    @property
    def is_value(self) -> bool:
        return self is Finding.VALUE

    def __bool__(self):
        raise TypeError("A Finding has no truth value; write finding.is_value.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CallOutcome:
    """A case and what its call did. `value` is the repr, None unless it is a value."""

    case: FunctionCase
    finding: Finding
    value: str | None = None


def render_probe(cases: tuple[FunctionCase, ...]) -> str:
    """A program that tries the calls of several cases of one function in turn.

    Raises:
        ValueError: the cases do not share one source text.
    """
    if len({case.source for case in cases}) != 1:
        raise ValueError(
            "render_probe needs cases of one function, with one source text; got "
            f"{len({case.source for case in cases})} texts. Group them first."
        )
    calls = [(rank, case.call) for rank, case in enumerate(cases)]
    return cases[0].source + _PROBE.format(
        calls=calls,
        shown=MAX_REPR_CHARS + 1,
        secs=MAX_CALL_SECS,
        max_slow=MAX_SLOW_CALLS,
    )


def parse_probe(cases: tuple[FunctionCase, ...], stdout: str) -> list[CallOutcome]:
    """Reads what a probe printed; a call without a line is NOT_REPORTED.

    The text comes from a program that nobody trusts: a line in another form is
    passed over.
    """
    outcomes = {
        rank: CallOutcome(case=case, finding=Finding.NOT_REPORTED)
        for rank, case in enumerate(cases)
    }
    for line in stdout.splitlines():
        parsed = _parse_line(line)
        if parsed is not None and parsed[0] in outcomes:
            rank, finding, value = parsed
            outcomes[rank] = CallOutcome(case=cases[rank], finding=finding, value=value)
    return list(outcomes.values())


_FINDINGS = {
    "value": Finding.VALUE,
    "raised": Finding.RAISED,
    "printed": Finding.PRINTED,
    "slow": Finding.TOO_SLOW,
    "unordered": Finding.UNORDERED,
}


def _parse_line(line: str) -> tuple[int, Finding, str | None] | None:
    try:
        index, kind, encoded = line.split(" ")
        rank, finding = int(index), _FINDINGS[kind]
        text = bytes.fromhex(encoded).decode("utf-8")
    except (ValueError, KeyError):
        return None
    if not finding.is_value:
        return rank, finding, None
    if len(text) > MAX_REPR_CHARS:
        return rank, Finding.TOO_LONG, None
    if " at 0x" in text:
        return rank, Finding.ADDRESS, None
    return rank, Finding.VALUE, text
