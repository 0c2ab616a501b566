"""The same programs under `python3 program.py < stdin` and in the box, side by side.

All of them are our own and harmless. What the box does otherwise on purpose stands in
`sandbox/program.py` and is left out here.
"""

import functools
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple

import pytest

from simex.problems.problem import Limits
from simex.sandbox import interpreter
from simex.sandbox.outcome import RunOutcome, RunRequest

STDIN = "one\ntwo 2\n\tthree é\n\nlast"
ENVIRONMENT = {
    k: interpreter.ENVIRONMENT[k] for k in ("LC_ALL", "PYTHONHASHSEED", "TZ")
}
LIMITS = Limits(cpu_secs=5.0)
SINGLE_RUN = interpreter.PACKAGE_ROOT / "simex/sandbox/single_run.py"

PROGRAMS = {
    # What it reads.
    "input": "print(input()); print(input('prompt> ')); print([input() for _ in '123'])",
    "input at the end": "while True: print(repr(input()))",
    "iteration": "import sys\nfor n, line in enumerate(sys.stdin): print(n, repr(line))",
    "iteration, then input": "import sys\nfor x in sys.stdin:\n    break\nprint(input())",
    "mixed reads": "import sys\nprint(input(), sys.stdin.readline(), sys.stdin.read(3), "
    "sys.stdin.buffer.read(2), sys.stdin.readlines())",
    "buffer": "import sys\nprint(sys.stdin.buffer.readline(), list(sys.stdin.buffer))",
    "raw": "import os\nprint(os.read(0, 5), os.read(0, 999), os.read(0, 9))",
    "open(0)": "print(open(0).read(), input.__name__)",
    "/dev/stdin": "print(open('/dev/stdin').read(), open('/dev/fd/0').read())",
    "fileinput": "import fileinput\nprint(list(fileinput.input()))",
    "closed stdin": "import os\nos.close(0)\ntry: input()\nexcept OSError as e: print(e)",
    "descriptor": "import sys, os\nprint(sys.stdin.fileno(), sys.stdin.isatty(), "
    "os.fstat(0).st_size, sys.stdin.seekable(), sys.stdin.encoding)",
    # What it writes.
    "text and bytes": "import sys\nsys.stdout.write('a')\nsys.stdout.buffer.write(b'b')\n"
    "sys.stdout.write('c')",
    "late print, early write": "import os\nprint(1)\nos.write(1, b'2\\n')\nprint(3)",
    "flushed": "import os\nprint(1, flush=True)\nos.write(1, b'2\\n')\nprint(3)",
    "/dev/stdout": "open('/dev/stdout', 'w').write('x')",
    "line buffering": "import sys, os\nsys.stdout.reconfigure(line_buffering=True)\n"
    "print('a')\nprint('b', end='')\nos._exit(0)",
    "closed stdout": "import sys\nprint('x', end='')\nsys.stdout.close()\nprint(1)",
    "other encoding": "import sys\nsys.stdout.reconfigure(encoding='latin-1')\nprint('é')",
    "own stdout": "import sys\nsys.stdout = open(1, 'w')\nprint('x')",
    "no stdout": "import sys\nsys.stdout = None\nprint('x')",
    "deleted stdout": "import sys\nprint(1)\ndel sys.stdout",
    "stdout that cannot flush": "import sys\nclass A:\n    write = len\n"
    "    def flush(self): 1 / 0\nsys.stdout = A()\nprint(1)",
    "stderr that cannot flush": "import sys\nclass A:\n    def write(self, s): pass\n"
    "    def flush(self): 1 / 0\nsys.stderr = A()\nprint(1)",
    "flush, threads, exit functions": "import sys, threading, atexit, time, os\n"
    "def f(): time.sleep(0.02); os.write(1, b'thread ')\natexit.register(os.write, 1, b'at')"
    "\nthreading.Thread(target=f).start()\nprint('main', end=' ')",
    "patched builtins": "import builtins, sys\n"
    "for n in ('getattr', 'isinstance', 'all', 'type', 'list', 'print'):\n"
    "    setattr(builtins, n, None)\nsys.stdout.write('x')\nraise SystemExit(3)",
    "redirected": "import contextlib, io\nb = io.StringIO()\n"
    "with contextlib.redirect_stdout(b): print('x')\nprint(repr(b.getvalue()))",
    "stderr as stdout": "import os\nos.dup2(2, 1)\nprint('x')",
    "never flushed": "import os\nprint(1)\nos._exit(0)",
    "half a pair": "print('\\ud800')",
    # How it ends.
    "exit text": "import sys\nsys.exit('bye')",
    "exit 3": "raise SystemExit(3)",
    "exit 256": "import sys\nsys.exit(256)",
    "exit -1": "import sys\nsys.exit(-1)",
    "exit 2**40": "import sys\nsys.exit(2 ** 40)",
    "exit 2**80": "import sys\nsys.exit(2 ** 80)",
    "exit -2**63": "import sys\nsys.exit(-2 ** 63)",
    "exit True": "import sys\nsys.exit(True)",
    "exit 2.5": "import sys\nsys.exit(2.5)",
    "exit tuple": "raise SystemExit(1, 2)",
    "exit liar": "class A:\n    def __str__(self): raise ValueError\nraise SystemExit(A())",
    "quit": "print(quit)\nquit(4)",
    "exit in finally": "try: 1 / 0\nfinally: raise SystemExit(0)",
    "raise": "def f(): 1 / 0\ntry: f()\nexcept Exception as e: raise KeyError(1) from e",
    "base exception": "raise BaseException('b')",
    "group": "raise ExceptionGroup('g', [ValueError(1)])",
    "broken exception": "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
    "hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0])\n1 / 0",
    "syntax": "print(1\n",
    "tabs": "if 1:\n\tx = 1\n        y = 2\n",
    "return": "return 1",
    "signal": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "abort": "import os\nos.abort()",
    "atexit": "import atexit\natexit.register(print, 2)\nprint(1)",
    "atexit raises": "import atexit\natexit.register(lambda: 1 / 0)\nprint(1)",
    "atexit exits": "import atexit, os\natexit.register(os._exit, 4)\nprint(1)",
    "del": "class A:\n    def __del__(self): print('del')\na = A()",
    "generator": "def g():\n    try: yield 1\n    finally: print(2)\nh = g()\nnext(h)",
    "finalize": "import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 1)",
    # Threads.
    "thread": "import threading, time\ndef f(): time.sleep(0.02); print(2)\n"
    "threading.Thread(target=f).start()\nprint(1)",
    "daemon": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nprint(1)",
    "thread raises": "import threading\nt = threading.Thread(target=lambda: 1 / 0)\n"
    "t.start()\nt.join()\nprint(1)",
    "thread exits": "import threading, sys\nt = threading.Thread(target=sys.exit, args=(5,))"
    "\nt.start()\nt.join()\nprint(1)",
    "threads": "import concurrent.futures as c\n"
    "with c.ThreadPoolExecutor(4) as p: print(list(p.map(str, range(9))))",
    "asyncio": "import asyncio\nasync def f(): await asyncio.sleep(0); return 1\n"
    "print(asyncio.run(f()))",
    # Depth.
    "depth": "import sys\nd = 0\ndef f():\n    global d\n    d += 1\n    f()\ntry: f()\n"
    "except RecursionError: print(d, sys.getrecursionlimit())",
    "own depth": "import sys\nsys.setrecursionlimit(1500)\nd = 0\ndef f():\n    global d\n"
    "    d += 1\n    f()\ntry: f()\nexcept RecursionError: print(d, sys.getrecursionlimit())",
    "great depth": "import sys\nsys.setrecursionlimit(10 ** 6)\n"
    "def f(n): return n and 1 + f(n - 1)\nprint(f(50000))",
    "no depth": "import sys\nsys.setrecursionlimit(0)",
    "depth of a text": "import sys\nsys.setrecursionlimit('9')",
    # Itself.
    "main": "import sys, __main__\nm = sys.modules['__main__']\n"
    "print(m is __main__, vars(m) is globals(), sorted(globals()), __name__, __spec__)",
    "docstring": '"""d"""\nx: int = 1\nprint(__doc__, __annotations__, __builtins__)',
    "future": "from __future__ import annotations\ndef f(x: y): pass\n"
    "print(f.__annotations__)",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))))",
    "dataclass": "import dataclasses, typing\n@dataclasses.dataclass\nclass A:\n    x: 'int'\n"
    "print(typing.get_type_hints(A), A(1))",
    "source": "import inspect, linecache\ndef f(): pass\nprint(inspect.getsource(f))",
    "traceback": "import traceback, sys\ntry: 1 / 0\n"
    "except Exception as e: print(traceback.extract_tb(e.__traceback__)[0].line)",
    "argv": "import sys, os\nprint(len(sys.argv), os.path.basename(sys.argv[0]), "
    "os.path.basename(__file__), sys.flags.optimize, sys.flags.utf8_mode)",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n"
    "    def test(self): self.assertEqual(1, 1)\nunittest.main()",
    "doctest": "def f():\n    '''\n    >>> f()\n    1\n    '''\n    return 1\n"
    "import doctest\nprint(doctest.testmod())",
    "hashes": "print(hash('abc'), {'a', 'b', 'c', 'd'}, {b'x', 'y', 1.5})",
    "settings": "import sys, gc, signal, locale\nprint(gc.isenabled(), gc.get_threshold(), "
    "sys.getswitchinterval(), sys.gettrace(), signal.getsignal(2), locale.getlocale())",
    "modules": "import sqlite3, zlib, bz2, lzma, hashlib, decimal, uuid, json, array\n"
    "print(sqlite3.connect(':memory:').execute('select 1').fetchall())",
}  # fmt: skip


class End(NamedTuple):
    """What is compared: stdout, exit code, last line of stderr."""

    stdout: bytes
    exit_code: int
    last_words: str


def run_command(command: list[str], stdin: bytes, folder: str) -> End:
    paths = [pathlib.Path(folder) / name for name in ("in", "out")]
    paths[0].write_bytes(stdin)
    with paths[0].open("rb") as source, paths[1].open("wb") as sink:
        done = subprocess.run(
            command,
            stdin=source,
            stdout=sink,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd=folder,
            timeout=60,
            check=False,
        )
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return End(paths[1].read_bytes(), done.returncode, words[-1] if words else "")


@functools.cache
def end_of_plain(source: str, stdin: str) -> End:
    """Under the interpreter that the box has, and nothing of ours."""
    python = str(interpreter.find_interpreter().executable)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "program.py").write_text(source)
        return run_command([python, "program.py"], stdin.encode(), folder)


# What depends on how a jail is built; the rest is decided by `sandbox/program.py`.
JAIL_MATTERS = [
    "open(0)",
    "/dev/stdin",
    "/dev/stdout",
    "great depth",
    "threads",
    "asyncio",
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_and_ends_as_under_plain_python(best_pool, name):
    request = RunRequest(source=PROGRAMS[name], stdin=STDIN, limits=LIMITS)
    check_end(best_pool.submit(request).result(), name)


@pytest.mark.parametrize("name", [*JAIL_MATTERS, "own depth", "modules", "hashes"])
def test_every_jail_is_as_faithful(run, name):
    check_end(run(PROGRAMS[name], STDIN, limits=LIMITS), name)


def check_end(outcome: RunOutcome, name: str) -> None:
    plain = end_of_plain(PROGRAMS[name], STDIN)
    assert outcome.stdout == plain.stdout
    assert outcome.status.is_ok is (plain.exit_code == 0)


EXITS = [name for name in PROGRAMS if name.split()[0] in ("exit", "quit", "atexit")]


@pytest.mark.parametrize("name", [*EXITS, "raise", "thread exits", "closed stdout"])
def test_the_exit_code_is_that_of_plain_python(tmp_path, name):
    """Where no jail is in the way that reports only good and bad."""
    (tmp_path / "program").write_text(PROGRAMS[name])
    flags = [*interpreter.FLAGS, str(SINGLE_RUN), str(tmp_path), "5", "1024", "8"]
    here = run_command([sys.executable, *flags], STDIN.encode(), str(tmp_path))
    assert here == end_of_plain(PROGRAMS[name], STDIN)


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nprint(sum(map(len, sys.stdin)))",
        "import sys\nprint(len(sys.stdin.buffer.read()))",
        "n = 0\ntry:\n    while True: n += len(input())\nexcept EOFError: print(n)",
        "print(open(0).read()[::-1])",
    ],
)
def test_a_large_stdin_is_read_whole(best_pool, source):
    stdin = "".join(f"{n} é\n" for n in range(60_000))  # 9 bytes a line, nearly
    request = RunRequest(source=source, stdin=stdin, limits=LIMITS)
    assert (
        best_pool.submit(request).result().stdout == end_of_plain(source, stdin).stdout
    )


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.fork()",
        "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
        "import subprocess\nsubprocess.run(['/bin/true'])",
        "import concurrent.futures as c\nc.ProcessPoolExecutor(1).submit(print).result()",
    ],
)
def test_other_processes_are_refused_with_an_error(run, source):
    outcome = run(source, limits=LIMITS)
    assert outcome.status.value == "runtime_error"
    assert "Error" in outcome.stderr_tail
