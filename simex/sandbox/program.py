"""Run one program as a real `__main__`, the way `python3 program.py` would.

Runs inside the box, in the child that will end with the program: standard library
only. The program owns the process from the first line on and may patch whatever it
finds, so everything needed afterwards is bound to local names before.

Known deviations from a plain interpreter: `random` is seeded with 0, integers of any
length may be printed, reference cycles are not collected at the end, frames of ours
lie below the program's own, and there is no file `__file__` and no installed package.
"""

import atexit
import builtins
import importlib.util
import io
import linecache
import os
import random
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

# A program may put others in the place of the builtins; functions here keep theirs.
__builtins__ = dict(vars(builtins))  # type: ignore[assignment]
FILE_NAME = "/tmp/program.py"

Execute = Callable[[types.CodeType, dict[str, Any]], None]


def compile_program(source: bytes) -> types.CodeType | None:
    """The code, or None after writing why there is none to stderr."""
    try:
        return compile(source, FILE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as e:
        lines = traceback.format_exception_only(type(e), e)
        os.write(2, "".join(lines).encode("utf-8", "replace"))
        return None


def _make_main_module() -> types.ModuleType:
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __file__=FILE_NAME, __builtins__=builtins, __cached__=None, __annotations__={}
    )
    sys.modules["__main__"] = main
    sys.argv = [FILE_NAME]
    sys.orig_argv = ["python3", FILE_NAME]
    return main


def _exit_code_of(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):  # what does not fit a C long becomes -1
        return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF
    print(code, file=sys.stderr)
    return 1


def _show_source(source: bytes) -> None:
    """Let tracebacks, warnings and `inspect` find the lines of a file that is not there."""
    # `decode_source` costs 0.2 ms, a twentieth of a run; most sources need none of it.
    is_plain = source.isascii() and b"\r" not in source and b"coding" not in source
    text = source.decode() if is_plain else importlib.util.decode_source(source)
    lines = io.StringIO(text).readlines()
    # No time of change: `linecache` then never looks for the file.
    linecache.cache[FILE_NAME] = (len(source), None, lines, FILE_NAME)


def _hide_own_frames() -> None:
    """Give programs the recursion depth that they would have in a plain interpreter."""
    # `exec` counts as a frame until 3.11; the caller's frames all do.
    num_frames = 1 if sys.version_info < (3, 12) else 0
    frame = sys._getframe().f_back
    while frame is not None:
        num_frames, frame = num_frames + 1, frame.f_back
    set_limit, get_limit = sys.setrecursionlimit, sys.getrecursionlimit

    def setrecursionlimit(limit: int, /) -> None:
        is_plain = type(limit) is int and 0 < limit < 2**31 - num_frames
        set_limit(limit + num_frames if is_plain else limit)

    def getrecursionlimit() -> int:
        return get_limit() - num_frames

    setrecursionlimit(get_limit())
    sys.setrecursionlimit = setrecursionlimit
    sys.getrecursionlimit = getrecursionlimit


def _report(error: BaseException) -> None:
    """Print the traceback, without our own frames, or call the program's hook."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != FILE_NAME:
        frames = frames.tb_next
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, frames)
        return
    traceback.print_exception(type(error), error, frames)


def _clear(namespace: dict[str, Any]) -> None:
    """Drop the module's names as the interpreter does, so that files get flushed."""
    for is_private in (True, False):
        for name in list(namespace):
            if type(name) is not str or name == "__builtins__":
                continue
            if (name[:1] == "_" and name[1:2] != "_") is is_private:
                namespace[name] = None


def run_program(
    code: types.CodeType, source: bytes, *, execute: Execute, memory_exit_code: int
) -> NoReturn:
    """Run `code` by `execute(code, globals)` and end the process as Python would."""
    leave = os._exit
    join_threads = threading._shutdown  # type: ignore[attr-defined]
    run_exit_functions = atexit._run_exitfuncs
    report, clear, exit_code_of = _report, _clear, _exit_code_of
    system, base_exception, system_exit = sys, BaseException, SystemExit
    memory_error, own_stdout, own_stderr = MemoryError, sys.stdout, sys.stderr

    def attempt(action: Callable[..., Any], *arguments: Any) -> bool:
        try:
            action(*arguments)
        except base_exception:
            return False
        return True

    def flush_one(stream: Any) -> None:
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()

    def flush(*streams: Any) -> bool:
        results = [attempt(flush_one, stream) for stream in streams]
        return all(results)  # of every one, even after a failure

    def flush_standard() -> bool:
        return flush(*(vars(system).get(name) for name in ("stdout", "stderr")))

    random.seed(0)
    sys.set_int_max_str_digits(0)
    main = _make_main_module()
    attempt(_show_source, source)
    _hide_own_frames()
    exit_code = 0
    # Whatever the program raises ends here: this is the top of its interpreter.
    try:
        try:
            execute(code, main.__dict__)
        finally:  # as the interpreter does, before threads are waited for
            flush_standard()
    except system_exit as error:
        exit_code = 1
        try:
            exit_code = exit_code_of(error)
        except base_exception:
            pass
    except base_exception as error:
        exit_code = memory_exit_code if isinstance(error, memory_error) else 1
        attempt(report, error)
    attempt(join_threads)
    attempt(run_exit_functions)
    is_flushed = flush_standard() & flush(own_stdout)
    attempt(clear, main.__dict__)
    # What the program put in place of stdout may need the names just cleared.
    is_flushed &= flush(own_stdout)
    flush(own_stderr)
    leave(exit_code if is_flushed or exit_code else 120)
    raise AssertionError("unreachable")
