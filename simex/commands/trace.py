"""`simex trace`: run one program in the sandbox and show what it did, line by line."""

import argparse
import ast
import json
import pathlib
import sys

from simex.commands.pager import may_be_cut_short
from simex.core.errors import UserError

HELP = "run a program in the sandbox and show its steps"
_MAX_CPU_SECS = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex trace`."""
    parser.add_argument("program", type=pathlib.Path, help="a Python program")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stdin", type=pathlib.Path, help="a file that it reads")
    what.add_argument(
        "--call",
        metavar='"f([1, 2])"',
        help="call this function of the program, with literal arguments, and print "
        "what it returns",
    )
    parser.add_argument(
        "--format",
        choices=("events", "nlex"),
        default="events",
        help="one JSON object an event (the default), or an explanation in words",
    )
    parser.add_argument(
        "--style",
        default="compact",
        help="of the explanation: compact, prose or raw_trace",
    )
    parser.add_argument("--max-events", type=int, default=10_000, help="then cut")
    parser.add_argument("--max-bytes", type=int, default=1 << 20, help="then cut")
    parser.add_argument("--cpu-secs", type=float, default=10.0, help="time limit")
    parser.add_argument(
        "--allow-unsafe", action="store_true", help="run even where no jail works"
    )


def command(arguments: argparse.Namespace) -> int:
    """Prints the trace on stdout and remarks on stderr; 1 if the run did not end well.

    Raises:
      UserError: a file, the program's text or a call that cannot be used.
    """
    from simex.problems.problem import Limits
    from simex.sandbox.outcome import RunRequest
    from simex.sandbox.pool import SandboxPool
    from simex.traces.parse import parse_trace

    _check_numbers(arguments)
    _check_style(arguments.style)
    source = _read_text(arguments.program, "program").removeprefix("\ufeff")
    _check_syntax(source, arguments.program)
    if arguments.call is not None:
        source = f"{source.rstrip()}\n\nprint(repr({_check_call(arguments.call)}))\n"
    stdin = _read_text(arguments.stdin, "stdin") if arguments.stdin else ""
    request = RunRequest(
        source=source,
        stdin=stdin,
        limits=Limits(cpu_secs=arguments.cpu_secs),
        is_traced=True,
        max_events=arguments.max_events,
        max_trace_bytes=arguments.max_bytes,
    )
    with SandboxPool(1, allow_unsafe=arguments.allow_unsafe) as pool:
        outcome = pool.submit(request).result()
    try:
        trace = parse_trace(
            outcome.trace or b"", request=request, stdout=outcome.stdout
        )
    except ValueError as error:
        _remark(f"there is no trace: {error}")
        _remark_status(outcome.status, outcome.stderr_tail)
        return 1
    with may_be_cut_short():
        _show(trace, arguments.format, arguments.style)
    if trace.is_truncated:
        _remark(f"truncated after {len(trace.events)} events: a cap was reached")
    if trace.is_lost:
        _remark(
            "tracing_lost: the program switched tracing off, or its recursion left no "
            "room for the tracer; steps are missing"
        )
    _remark_status(outcome.status, outcome.stderr_tail)
    return 0 if outcome.status.is_ok else 1


def _show(trace: object, shown_as: str, style: str) -> None:
    from simex.nlex.rewriters import REWRITERS
    from simex.traces.records import event_to_dict
    from simex.traces.trace import Trace

    assert isinstance(trace, Trace)
    if shown_as == "nlex":
        print(REWRITERS[style](trace).text)
        return
    for event in trace.events:
        print(json.dumps(event_to_dict(event), ensure_ascii=False))


def _read_text(path: pathlib.Path, what: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"The {what} must be a file that can be read; {path}: {error.strerror}."
        ) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"The {what} must be UTF-8 text; {path}:{line} has the byte "
            f"0x{data[error.start]:02x} where none may be."
        ) from None


def _check_syntax(source: str, path: pathlib.Path) -> None:
    """Here, so that what is appended for a call cannot complete half a program."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise UserError(
            f"The program must compile; {path}:{error.lineno or 1}: {error.msg}."
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"The program must compile; {path}: {error}.") from None


def _check_call(text: str) -> str:
    """The call as Python writes it, if it is a name with literal arguments."""
    rule = f"--call must be a function's name with literal arguments; got {text!r}"
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise UserError(f'{rule}. Write, for example, "f([1, 2], k=3)".')
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            ast.literal_eval(argument)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"{rule}: {reason}.") from None
    if any(keyword.arg is None for keyword in call.keywords):
        raise UserError(f"{rule}: write keyword arguments out instead of **.")
    return ast.unparse(call)


def _check_style(style: str) -> None:
    from simex.nlex.rewriters import REWRITERS

    if style not in REWRITERS:
        known = ", ".join(REWRITERS)
        raise UserError(f"--style must be one of {known}; got {style!r}.")


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name in ("max_events", "max_bytes", "cpu_secs"):
        value = getattr(arguments, name)
        least = 1024 if name == "max_bytes" else 1 if name == "max_events" else 0.01
        option = "--" + name.replace("_", "-")
        if not least <= value:
            raise UserError(f"{option} must be at least {least}; got {value}.")
        if name == "cpu_secs" and value > _MAX_CPU_SECS:
            raise UserError(f"{option} must be at most {_MAX_CPU_SECS}; got {value}.")


def _remark_status(status: object, stderr_tail: str) -> None:
    from simex.sandbox.outcome import RunStatus

    if status is RunStatus.OK:
        return
    assert isinstance(status, RunStatus)
    _remark(f"the program ended in {status.value}")
    if stderr_tail.strip():
        _remark(stderr_tail.rstrip())


def _remark(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
