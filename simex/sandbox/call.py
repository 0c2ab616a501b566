"""Call one function of a program and hand its value out.

Runs inside the box, in the child that will end with the program: standard library
only. The child knows the function's name and the arguments, never what is expected.
The value leaves by a memory file of its own, in the text form of `sandbox.wire`, so
nothing that is printed can be taken for it. A program could write there itself, and
would gain nothing: it can as well return what it would write. That holds where the
function is the program's own. Where ours looks at a program and tells what it found
(`evals.scoring.rules`), the program can answer in its stead.
"""

import builtins
import os
from collections.abc import Callable
from typing import Any

from simex.sandbox import wire

# A program may put others in the place of the builtins; functions here keep theirs.
__builtins__ = dict(vars(builtins))  # type: ignore[assignment]
_CHUNK_CHARS = 1 << 16

Execute = Callable[[Any, dict[str, Any]], None]


def encode_call(function: str, arguments: list[Any] | tuple[Any, ...]) -> bytes:
    """What the child needs to know. Raises ValueError as `wire.encode_value` does."""
    return wire.encode_value((function, list(arguments)))


def make_execute(call_fd: int, result_fd: int, execute: Execute) -> Execute:
    """Like `execute`, and then the call; for `program.run_program`.

    Example: for ``def f(a): return a + 1`` and a file `call_fd` that holds
    ``encode_call("f", [1])``, the file `result_fd` holds ``i2\\n`` in the end. It stays empty if the program or the
    function raises or ends the process.
    """
    call = os.pread(call_fd, os.fstat(call_fd).st_size, 0)
    function, arguments = wire.build_value(wire.parse_value(call))
    write, encode_lines = os.write, wire.encode_lines
    find = find_function

    def execute_and_call(code: Any, namespace: dict[str, Any]) -> None:
        execute(code, namespace)
        value = find(namespace, function)(*arguments)
        chunk: list[str] = []
        size = 0
        for line in encode_lines(value):
            chunk.append(line)
            size += len(line) + 1
            if size >= _CHUNK_CHARS:
                _write_all(write, result_fd, chunk)
                chunk, size = [], 0
        _write_all(write, result_fd, chunk)

    return execute_and_call


def _write_all(write: Callable[..., int], descriptor: int, lines: list[str]) -> None:
    data = memoryview("".join([line + "\n" for line in lines]).encode("ascii"))
    while data:  # a file at its limit takes a part, then raises
        data = data[write(descriptor, data) :]


def find_function(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    """The method of the program's class `Solution`, or its function of that name.

    `Solution` is the class around the function in LeetCode's problems. Its method goes
    first, because the name of a function may only be an import; not so what the class
    inherits, as a list's `count`, or holds as data, as a dataclass its fields.
    """
    holder = namespace.get("Solution")
    own = vars(holder) if isinstance(holder, type) else {}
    is_method = name in own and callable(getattr(holder, name, None))
    if name in namespace and not is_method:
        return namespace[name]
    if holder is not None:
        return getattr(holder(), name)
    raise NameError(f"name {name!r} is not defined")
