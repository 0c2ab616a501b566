"""What tracing costs: milliseconds for 10,000 events, over the same run untraced.

`python -m tests.benchmarks.tracer [--rounds 15]`

All programs take turns, traced and untraced, within one run, so that a busy machine
slows all of them alike. CPU time of the program's own process, its median; then the
CPU time that the driver takes to parse the trace. Events are counted, since a program
may reach the cap on bytes first; the cost is scaled to 10,000 of them.
"""

import argparse
import statistics
import time

from simex.problems.problem import Limits
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool
from simex.traces.parse import parse_trace

TARGET_MS = 40.0
MAX_EVENTS = 10_000
LIMITS = Limits(cpu_secs=10.0)
PROGRAMS = {
    "scalars": "s = 0\nfor i in range(4900):\n    s += i * 3 % 7\nprint(s)\n",
    "scalars in a function": (
        "def f(n):\n    s = 0\n    for i in range(n):\n        s += i * 3 % 7\n"
        "    return s\nprint(f(4900))\n"
    ),
    "list of 20 that changes": (
        "a = list(range(20))\nfor i in range(3300):\n    j = i % 20\n"
        "    a[j] = a[j - 1] + 1\nprint(sum(a))\n"
    ),
    "list that grows and shrinks": (
        "a = []\nfor i in range(2400):\n    a.append(i)\n    if len(a) > 30:\n"
        "        a = a[15:]\nprint(len(a))\n"
    ),
    "list of 1000": (
        "a = [0] * 1000\nfor i in range(4000):\n    a[i % 1000] += i\nprint(sum(a))\n"
    ),
    "dict": (
        "d = {}\nfor i in range(3300):\n    k = 'abcdefgh'[i * 7 % 8]\n"
        "    d[k] = d.get(k, 0) + i\nprint(len(d))\n"
    ),
    "strings": (
        "s = ''\nfor i in range(3300):\n    s += chr(97 + i % 26)\n"
        "    if len(s) > 40:\n        s = s[20:]\nprint(s)\n"
    ),
    "grid": (
        "g = [[0] * 6 for _ in range(6)]\nfor i in range(3300):\n"
        "    r, c = i // 6 % 6, i % 6\n    g[r][c] += i % 5\nprint(g[0])\n"
    ),
    "list of pairs": (
        "q = [(0, 0)]\nfor i in range(2400):\n    x, y = q.pop(0)\n"
        "    q.append((x + 1, y))\n    if len(q) < 9:\n        q.append((y, x))\n"
        "print(len(q))\n"
    ),
    "nested calls": (
        "def h(x):\n    return x + 1\ndef g(x):\n    y = h(x)\n    return y * 2\n"
        "t = 0\nfor i in range(1100):\n    t += g(i)\nprint(t)\n"
    ),
    "recursion": (
        "def fib(n):\n    if n < 2:\n        return n\n"
        "    return fib(n - 1) + fib(n - 2)\nprint(fib(15))\n"
    ),
    "objects": (
        "class P:\n    def __init__(self):\n        self.x = 0\n        self.y = 1\n"
        "    def step(self, d):\n        self.x += d\n        self.y -= self.x % 3\n"
        "p = P()\nfor i in range(1600):\n    p.step(i)\nprint(p.x, p.y)\n"
    ),
    "many prints": "for i in range(3300):\n    print(i)\n",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    num_rounds = parser.parse_args().rounds
    traced: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    untraced: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    parsing: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    num_events: dict[str, int] = {}
    with SandboxPool(1) as pool:
        for name, source in list(PROGRAMS.items()) * num_rounds:
            plain = RunRequest(source=source, limits=LIMITS)
            request = RunRequest(
                source=source, limits=LIMITS, is_traced=True, max_events=MAX_EVENTS
            )
            untraced[name].append(pool.submit(plain).result().cpu_secs)
            outcome = pool.submit(request).result()
            traced[name].append(outcome.cpu_secs)
            start = time.thread_time()
            trace = parse_trace(
                outcome.trace or b"", request=request, stdout=outcome.stdout
            )
            parsing[name].append(time.thread_time() - start)
            num_events[name] = len(trace.events)
    print(f"{'program':28} {'events':>7} {'ms/10k':>7} {'parse':>7}  at most")
    worst = 0.0
    for name, count in num_events.items():
        scale = 1e3 * 10_000 / count
        cost = statistics.median(
            (a - b) * scale for a, b in zip(traced[name], untraced[name], strict=True)
        )
        parse = statistics.median(parsing[name]) * scale
        worst = max(worst, cost)
        print(f"{name:28} {count:7} {cost:7.1f} {parse:7.1f}  {TARGET_MS:.0f}")
    print(f"worst: {worst:.1f} ms; the target is {TARGET_MS:.0f} ms")


if __name__ == "__main__":
    main()
