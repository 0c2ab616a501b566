"""What a trivial run costs with every layer on, against three other ways to run it.

`python -m tests.benchmarks.sandbox [--rounds 30] [--backend auto]`

All methods take turns within one run, so that a busy machine slows all of them alike;
medians and their ratios are printed. The methods:

sandbox        this project: jail, fork server, uid, Landlock, seccomp, limits, verdict;
               programs queue up at one worker, as they do when answers are judged
sandbox, alone the same, one program at a time: how long a lone answer waits
manager        one `multiprocessing.Manager` and one `Process` a program, the way in
               which LiveCodeBench's check_correctness runs each sample; no jail
bwrap          `bwrap … python -c PROGRAM` with the mounts of our jail
fork           fork, exit and wait of an interpreter like our fork server; the floor
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from simex.sandbox import interpreter
from simex.sandbox.backends.bubblewrap import make_jail_command
from simex.sandbox.backends.layers import count_usable_cores
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool
from simex.sandbox.zygote import WARM_MODULES

PROGRAM = "print(int(input()) + 1)"
TARGETS = {"manager": 0.15, "bwrap": 0.3, "fork": 4.0}  # sandbox over method, at most

_FORKER = f"""
import os, sys, time
import {", ".join(WARM_MODULES.split())}
import gc; gc.freeze()
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(int(line)):
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
    print(time.perf_counter() - start, flush=True)
"""


class Forker:
    """Forks in a small interpreter of its own, as our fork server does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *interpreter.FLAGS, "-c", _FORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, num_runs: int) -> float:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{num_runs}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _run_sample(source: str, stdin: str, results) -> None:
    """In the child of the manager's way: program and judge share one process."""
    sys.stdin, sys.stdout = io.StringIO(stdin), io.StringIO()
    # Our own one-line program; this is how the others do it.
    exec(compile(source, "<sample>", "exec"), {"__name__": "__main__"})  # noqa: S102
    results.append(sys.stdout.getvalue().split() == ["42"])


def run_with_manager(num_runs: int) -> float:
    """A manager process and a child process for every sample."""
    context = multiprocessing.get_context("fork")
    start = time.perf_counter()
    for _ in range(num_runs):
        with context.Manager() as manager:
            results = manager.list()
            child = context.Process(target=_run_sample, args=(PROGRAM, "41", results))
            child.start()
            child.join(timeout=10)
            if list(results) != [True]:
                raise RuntimeError("the sample did not run")
    return time.perf_counter() - start


def run_with_bwrap(num_runs: int) -> float:
    """A new jail and a new interpreter for every program."""
    command = [*make_jail_command(), *interpreter.FLAGS, "-c", PROGRAM]
    start = time.perf_counter()
    for _ in range(num_runs):
        done = subprocess.run(
            command,
            input=b"41",
            capture_output=True,
            env=interpreter.ENVIRONMENT,
            check=False,
        )
        if done.stdout != b"42\n":
            raise RuntimeError(f"the jail said {done}")
    return time.perf_counter() - start


def make_sandbox_runner(pool: SandboxPool) -> Callable[[int], float]:
    """Programs queue up at the pool; plain runs are never remembered."""
    request = RunRequest(source=PROGRAM, stdin="41")

    def run(num_runs: int) -> float:
        start = time.perf_counter()
        outcomes = list(pool.run_all([request] * num_runs))
        secs = time.perf_counter() - start
        if any(outcome.stdout != b"42\n" for outcome in outcomes):
            raise RuntimeError(f"the sandbox said {outcomes}")
        return secs

    return run


def measure(methods: dict[str, tuple[Callable[[int], float], int]], num_rounds: int):
    """Milliseconds a run: for each method one number a round, all in turn."""
    millis: dict[str, list[float]] = {name: [] for name in methods}
    for name, (run, _) in methods.items():
        run(1)  # whatever is paid once
    for _ in range(num_rounds):
        for name, (run, num_runs) in methods.items():
            millis[name].append(1000 * run(num_runs) / num_runs)
    return millis


def compare(pool: SandboxPool, num_rounds: int) -> dict:
    """Medians in ms, and the median over the rounds of sandbox / method."""
    forker, run = Forker(), make_sandbox_runner(pool)
    millis = measure(
        {
            "sandbox": (run, 32),
            "sandbox, alone": (lambda n: sum(run(1) for _ in range(n)), 8),
            "manager": (run_with_manager, 4),
            "bwrap": (run_with_bwrap, 4),
            "fork": (forker.run, 32),
        },
        num_rounds,
    )
    forker.close()
    ratios = {
        name: statistics.median(
            ours / theirs for ours, theirs in zip(millis["sandbox"], values)
        )
        for name, values in millis.items()
    }
    medians = {name: statistics.median(values) for name, values in millis.items()}
    return {"median_ms": medians, "sandbox_over_method": ratios, "targets": TARGETS}


def measure_throughput(backend: str, num_rounds: int) -> dict[int, float]:
    """Runs a second for 1, 2, … workers, taking turns; medians."""
    counts = range(1, 2 * count_usable_cores() + 1)
    pools = {n: SandboxPool(n, backend) for n in counts}
    runners = {n: (make_sandbox_runner(pool), 50 * n) for n, pool in pools.items()}
    millis = measure({str(n): runner for n, runner in runners.items()}, num_rounds)
    for pool in pools.values():
        pool.close()
    return {n: 1000 / statistics.median(millis[str(n)]) for n in counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--backend", default="auto")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with SandboxPool(1, arguments.backend) as pool:
        result = {"backend": pool.backend_name, **compare(pool, arguments.rounds)}
    throughput = measure_throughput(arguments.backend, max(3, arguments.rounds // 5))
    result |= {
        "runs_per_sec_by_workers": throughput,
        "python": sys.version.split()[0],
        "cores": count_usable_cores(),
        "load_before": load,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
