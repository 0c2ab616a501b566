"""Traces of newer interpreters: the same events, by another mechanism.

Each interpreter runs our driver and a sandbox of its own. Skipped where none is found.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DRIVER = """
import json, sys
from simex.sandbox.pool import SandboxPool
from simex.traces.collect import collect_traces
from simex.traces.records import to_record
from simex.traces.trace import Trace
programs = [(source, "") for source in json.load(sys.stdin)]
with SandboxPool(1) as pool:
    for found in collect_traces(pool, programs):
        is_trace = isinstance(found, Trace)
        print(json.dumps(to_record(found)["events"] if is_trace else found.reason))
"""
PROGRAMS = {
    "calls": (
        "def f(n):\n    if n < 2:\n        return n\n    return f(n - 1) + f(n - 2)\n"
        "class P:\n    def __init__(self, x):\n        self.x = x\n"
        "    def __add__(self, other):\n        return P(self.x + other.x)\n"
        "g = lambda a, *b: [a, b]\nprint(f(4), (P(1) + P(2)).x, g(1, 2))\n"
    ),
    "exceptions": (
        "def f(a):\n    try:\n        return a[1]\n    except KeyError:\n        return 0\n"
        "    finally:\n        print('f')\ndef g():\n    return f([])\ntry:\n    g()\n"
        "except IndexError as error:\n    x = 1\nelse:\n    x = 2\nprint(f({}), x)\n"
    ),
    "generators": (
        "def g(n):\n    while n:\n        sent = yield n\n        n -= 1\n"
        "    return 'end'\ndef h():\n    r = yield from g(2)\n    print(r)\n"
        "for v in h():\n    print(v)\ni = g(3)\nnext(i)\nprint(i.send(5))\n"
    ),
    "values": (
        "a, d, s = [1, 2], {'k': [1]}, {2, 1}\na.append((3, 'x'))\nd['k'].append(2)\n"
        "s.add(3)\nd[1] = 'é'\ndef f(b):\n    global n\n    b[0] = 9\n    n = 5\n"
        "    return None\nf(a)\nm = [[0] * 2 for _ in range(2)]\nm[1][0] = n\n"
    ),
    "flow": (
        "n = 0\nwhile True:\n    n += 1\n    if n == 2:\n        continue\n"
        "    elif n > 3:\n        break\nwith open('/dev/null') as f:\n    k = 1\n"
        "match [n, k]:\n    case [4, y]:\n        z = y\n    case _:\n        z = 0\n"
        "if (w := z + 1) == 2:\n    del n\n"
    ),
    "closures": (
        "def outer():\n    k = 0\n    def inner(step):\n        nonlocal k\n"
        "        k += step\n        return k\n    return inner\nc = outer()\nc(1)\n"
        "t = [c(i) for i in range(3)]\nprint(sum(x for x in t), t)\n"
    ),
    "handled on the line that returns": (
        "class I:\n    def __iter__(self):\n        return self\n"
        "    def __next__(self):\n        raise StopIteration\n"
        "def g():\n    yield 1\n    return 5\n"
        "def f():\n    for x in I():\n        pass\n"
        "def h():\n    for x in g():\n        pass\n"
        "def k():\n    return (yield from g())\n"
        "async def w(a):\n    return a\nasync def m():\n    return await w(1)\n"
        "from contextlib import suppress\ndef s(d):\n"
        "    with suppress(KeyError): d['a']\n"
        "f()\nh()\nprint(list(k()))\ns({})\n"
        "try:\n    m().send(None)\nexcept StopIteration as e:\n    print(e.value)\n"
    ),
    "thrown in": (
        "from contextlib import contextmanager\n@contextmanager\ndef c():\n"
        "    with open('/dev/null'):\n        try:\n            yield 1\n"
        "        finally:\n            print('x')\n"
        "def f():\n    with c():\n        raise KeyError(1)\n"
        "try:\n    f()\nexcept KeyError:\n    z = 1\n"
        "def g():\n    while True:\n        try:\n            yield 1\n"
        "        except KeyError:\n            y = 2\n"
        "i = g()\nnext(i)\nprint(i.throw(KeyError('k')))\n"
    ),
    "thrown into a with": (
        "class C:\n    def __enter__(self):\n        return 1\n"
        "    def __exit__(self, *a):\n        return a[0] is KeyError\n"
        "def g():\n    with C():\n        x = [\n            (yield 1),\n"
        "            (yield)]\n    print(2)\n"
        "for how in (ValueError('a'), KeyError('k')):\n"
        "    i = g()\n    next(i)\n    next(i)\n    try:\n        i.throw(how)\n"
        "    except (ValueError, StopIteration) as e:\n        print(type(e))\n"
        "i = g()\nnext(i)\ni.close()\nprint(list(g()))\n"
    ),
}


def find_others() -> list[str]:
    """Interpreters from 3.12 on besides our own that start at all."""
    found = []
    for minor in range(12, 16):
        path = shutil.which(f"python3.{minor}")
        if path is None or sys.version_info[:2] == (3, minor):
            continue
        command = [path, "-c", "import sys; print(sys.executable)"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            found.append(result.stdout.strip())
    # Version managers put a launcher on the path that knows one version at a time.
    folder = pathlib.Path(sys.base_prefix).parent
    for path in sorted(folder.glob("3.1[2-9].*/bin/python")):
        found.append(str(path))
    return found


def trace_with(executable: str, sources: list[str]) -> list:
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    result = subprocess.run(
        [executable, "-c", DRIVER],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_events_are_the_same_on_newer_interpreters():
    others = find_others()
    if not others:
        pytest.skip("no interpreter from 3.12 on besides our own was found")
    sources = list(PROGRAMS.values())
    ours = trace_with(sys.executable, sources)
    assert all(isinstance(events, list) for events in ours), ours
    for executable in others:
        theirs = trace_with(executable, sources)
        for name, expected, found in zip(PROGRAMS, ours, theirs, strict=True):
            assert found == expected, (executable, name)
