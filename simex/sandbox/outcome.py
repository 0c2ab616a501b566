"""What goes into the box and what comes out of it."""

import dataclasses
import enum

from simex.problems.problem import Limits


class Verdict(enum.Enum):
    """What the judge says of one program on one test case."""

    ACCEPTED = "accepted"
    WRONG_OUTPUT = "wrong_output"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    BLOCKED = "blocked"
    NOT_RUN = "not_run"  # an earlier test failed and early stop was on

    @property
    def is_accepted(self) -> bool:
        return self is Verdict.ACCEPTED

    def __bool__(self):
        raise TypeError("A Verdict has no truth value; write verdict.is_accepted.")


class RunStatus(enum.Enum):
    """How a run ended, before anybody looked at what it printed."""

    OK = "ok"  # exit code 0
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    BLOCKED = "blocked"

    @property
    def is_ok(self) -> bool:
        return self is RunStatus.OK

    def __bool__(self):
        raise TypeError("A RunStatus has no truth value; write status.is_ok.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRequest:
    """One program on one stdin, or one call of one of its functions.

    This is all that the untrusted child ever sees.
    """

    source: str
    stdin: str = ""
    limits: Limits = Limits()
    is_traced: bool = False  # run under the tracer; the outcome then holds `trace`
    max_events: int = 10_000  # a traced run records no more
    max_trace_bytes: int = 1 << 20
    call: bytes | None = None  # what `sandbox.call.encode_call` makes


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How one run ended and what it printed."""

    status: RunStatus
    stdout: bytes
    stderr_tail: str  # the last 2 KiB
    cpu_secs: float
    wall_secs: float
    backend: str  # a name in sandbox.backends.BACKENDS; "ray:" and one on a cluster
    trace: bytes | None = None  # what the tracer wrote: untrusted, to be parsed
    # The text of the value that the call returned, as untrusted; b"" if it did not
    # return, None if nothing was called. For `sandbox.results`.
    result: bytes | None = None
    num_bytes_left_out: int = 0  # that it printed after `stdout`, where that is cut


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """All verdicts of one program, in the order of the problem's tests.

    What a program printed is whole in `outcomes` where the run ended well and the test
    is public, since that may be shown; anything else is cut after 64 KiB.
    """

    verdicts: tuple[Verdict, ...]
    outcomes: tuple[RunOutcome | None, ...]  # None where the verdict is NOT_RUN
    backend: str

    @property
    def is_accepted(self) -> bool:
        """At least one test, and every one of them accepted."""
        return bool(self.verdicts) and all(v.is_accepted for v in self.verdicts)
