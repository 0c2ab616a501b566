"""A program in the box behaves as under `python3 program.py < stdin`."""

import pytest

from simex.problems.problem import Limits
from simex.sandbox.outcome import RunRequest, RunStatus


@pytest.mark.parametrize(
    "source, stdin, stdout",
    [
        ("print(sum(map(int, input().split())))", "1 2 3\n", b"6\n"),
        ("import sys\nfor l in sys.stdin: print(len(l))", "a\nbc", b"2\n2\n"),
        ("import sys\nprint(sys.stdin.buffer.readline())", "a\nb", b"b'a\\n'\n"),
        ("print(open(0).read())", "x", b"x\n"),
        ("import os\nos.write(1, os.read(0, 9))", "abc", b"abc"),
        ("import sys\nsys.stdout.buffer.write(b'\\xff')", "", b"\xff"),
        ("print(__name__, __file__)", "", b"__main__ /tmp/program.py\n"),
        ("n = 0\ndef f():\n    global n\n    n += 1\nf()\nprint(n)", "", b"1\n"),
        ("class A: pass\nprint(A.__module__)", "", b"__main__\n"),
        ("import pickle\nclass A: pass\npickle.dumps(A())\nprint(1)", "", b"1\n"),
        ("# coding: latin-1\nprint(len('é'))", "", b"2\n"),  # two bytes of UTF-8
        ("print('é中')", "", "é中\n".encode()),
        ("import statistics, sqlite3, uuid, fractions\nprint(2)", "", b"2\n"),
        ("import sys\nprint(sys.argv == [__file__])", "", b"True\n"),
        ("import time\nprint(time.tzname[0])", "", b"UTC\n"),
        ("print(len(str(10 ** 6000)))", "", b"6001\n"),
    ],
)
def test_descriptors_modules_and_text_are_ordinary(run_anywhere, source, stdin, stdout):
    outcome = run_anywhere(source, stdin)
    assert (outcome.stdout, outcome.status) == (stdout, RunStatus.OK)


@pytest.mark.parametrize(
    "source, stdout, status",
    [
        ("print(1)\nexit()", b"1\n", RunStatus.OK),
        ("import sys\nprint(1)\nsys.exit()", b"1\n", RunStatus.OK),
        ("import sys\nprint(1)\nsys.exit('no')", b"1\n", RunStatus.RUNTIME_ERROR),
        ("print(1)\nraise ValueError", b"1\n", RunStatus.RUNTIME_ERROR),
        ("import atexit\natexit.register(print, 2)\nprint(1)", b"1\n2\n", RunStatus.OK),
        (
            (
                "import threading, time\n"
                "def f():\n    time.sleep(0.05); print(2)\n"
                "threading.Thread(target=f).start()\nprint(1)"
            ),
            b"1\n2\n",
            RunStatus.OK,
        ),
        ("f = open(1, 'w')\nf.write('kept')", b"kept", RunStatus.OK),
        (
            (
                "import os, sys\nclass Fast:\n    text = ''\n"
                "    def write(self, s): self.text += s\n"
                "    def flush(self): os.write(1, self.text.encode())\n"
                "sys.stdout = Fast()\nprint(1)"
            ),
            b"1\n1\n",  # flushed after the last line, and in the end
            RunStatus.OK,
        ),
        ("import os\nprint(1)\nos._exit(0)", b"", RunStatus.OK),  # never flushed
        ("import os\nos.close(1)\nprint(1)", b"", RunStatus.RUNTIME_ERROR),
        ("print(1", b"", RunStatus.COMPILE_ERROR),
        ("print(1)\0", b"", RunStatus.COMPILE_ERROR),
        ("raise SyntaxError", b"", RunStatus.RUNTIME_ERROR),
        ("import os\nos._exit(213)", b"", RunStatus.MEMORY_LIMIT),
        ("def f(): return f()\nf()", b"", RunStatus.RUNTIME_ERROR),
        (
            (
                "import sys\nsys.setrecursionlimit(10 ** 6)\n"
                "def f(n): return n and 1 + f(n - 1)\nprint(f(40000))"
            ),
            b"40000\n",
            RunStatus.OK,
        ),
        (
            (
                "import threading\nthreading.stack_size(1 << 26)\n"
                "t = threading.Thread(target=print, args=(1,))\nt.start(); t.join()"
            ),
            b"1\n",
            RunStatus.OK,
        ),
    ],
)
def test_a_program_ends_as_python_ends(run_anywhere, source, stdout, status):
    outcome = run_anywhere(source)
    assert (outcome.stdout, outcome.status) == (stdout, status)


def test_a_traceback_names_the_programs_own_lines_only(run_anywhere):
    tail = run_anywhere("x = 1\nprint(x / 0)").stderr_tail
    assert tail.startswith("Traceback (most recent call last):\n")
    assert 'File "/tmp/program.py", line 2' in tail and "print(x / 0)" in tail
    assert tail.endswith("ZeroDivisionError: division by zero\n")
    assert tail.count("File ") == 1


def test_two_runs_print_the_same(run_anywhere):
    source = "import random\nprint({'a', 'b', 'c'}, hash('a'), random.random())"
    assert len({run_anywhere(source).stdout for _ in range(4)}) == 1  # on two workers


@pytest.mark.parametrize(
    "source, status",
    [
        ("while True: pass", RunStatus.TIME_LIMIT),
        (
            (
                "import threading\n"
                "def f():\n    while True: pass\n"
                "for _ in range(3): threading.Thread(target=f).start()"
            ),
            RunStatus.TIME_LIMIT,
        ),
        ("x = bytearray(1 << 40)", RunStatus.MEMORY_LIMIT),
        ("x = [bytearray(1 << 24) for _ in range(60)]", RunStatus.MEMORY_LIMIT),
        ("while True: print('x' * 1000)", RunStatus.OUTPUT_LIMIT),
        ("import sys\nwhile True: sys.stderr.write('x' * 999)", RunStatus.OUTPUT_LIMIT),
        (
            "import os\nos.lseek(1, 1 << 40, 0)\nos.write(1, b'x')",
            RunStatus.RUNTIME_ERROR,
        ),
        ("import os\nos.ftruncate(1, 1 << 20)", RunStatus.OUTPUT_LIMIT),
    ],
)
def test_each_limit_has_its_own_verdict(run_anywhere, source, status):
    # Filling 256 MiB takes CPU time too; whoever is to be stopped by it gets more.
    cpu_secs = 3.0 if status is RunStatus.MEMORY_LIMIT else 0.3
    limits = Limits(cpu_secs=cpu_secs, memory_mib=256, output_mib=1.0)
    assert run_anywhere(source, limits=limits).status is status


def test_a_sleeper_is_ended_by_the_wall_clock(best_pool):
    limits = Limits(cpu_secs=0.2)
    request = RunRequest(source="import time\ntime.sleep(99)", limits=limits)
    outcome = best_pool.submit(request).result()
    assert outcome.status is RunStatus.TIME_LIMIT
    assert 5.0 <= outcome.wall_secs < 9.0  # max(5, 5 * 0.2)
    assert outcome.cpu_secs < 0.2


def test_input_and_output_larger_than_any_pipe_pass(run_anywhere):
    outcome = run_anywhere("print(input()[::-1])", "ab" * 250_000)
    assert outcome.status is RunStatus.OK
    assert outcome.stdout == b"ba" * 250_000 + b"\n"
