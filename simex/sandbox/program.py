"""Run one program as a real `__main__`, the way `python3 program.py` would.

Runs inside the box, in the child that will end with the program: standard library
only. The program owns the process from the first line on and may patch whatever it
finds, so everything needed afterwards is bound to local names before.

Known deviations from a plain interpreter: `random` is seeded with 0, integers of any
length may be printed, and reference cycles are not collected at the end.
"""

import atexit
import builtins
import linecache
import os
import random
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

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
    if isinstance(code, int):
        return code & 0xFF if -(2**31) <= code < 2**31 else 0xFF
    print(code, file=sys.stderr)
    return 1


def _report(error: BaseException, source: bytes) -> None:
    """Print the traceback, without our own frames, or call the program's hook."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != FILE_NAME:
        frames = frames.tb_next
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, frames)
        return
    lines = source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[FILE_NAME] = (len(source), None, lines, FILE_NAME)
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

    def is_open(stream: Any) -> bool:
        return stream is not None and not getattr(stream, "closed", False)

    def flush(*streams: Any) -> bool:
        results = [attempt(s.flush) for s in streams if is_open(s)]
        return all(results)  # of every one, even after a failure

    random.seed(0)
    sys.set_int_max_str_digits(0)
    main = _make_main_module()
    exit_code = 0
    # Whatever the program raises ends here: this is the top of its interpreter.
    try:
        execute(code, main.__dict__)
    except system_exit as error:
        exit_code = 1
        try:
            exit_code = exit_code_of(error)
        except base_exception:
            pass
    except base_exception as error:
        exit_code = memory_exit_code if isinstance(error, memory_error) else 1
        attempt(report, error, source)
    attempt(join_threads)
    attempt(run_exit_functions)
    is_flushed = flush(system.stdout, own_stdout)
    attempt(clear, main.__dict__)
    # What the program put in place of stdout may need the names just cleared.
    is_flushed &= flush(own_stdout)
    flush(own_stderr)
    leave(exit_code if is_flushed or exit_code else 120)
    raise AssertionError("unreachable")
