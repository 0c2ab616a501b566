"""From programs to bytes: how fast, against bare execution, and with how much memory.

    python tests/benchmarks/data.py --shards 4 --size 250 [--tokenizer FILE]

Each round runs the programs of one shard bare in the sandbox, and then makes that shard
(run traced, told, checked, tokenized, written), one worker each. CPU seconds of this
process and of the sandbox are counted, so that other work on the machine matters less;
"per_sec_of_cores" is what so many quiet cores do, since shards share nothing.
"""

import argparse
import json
import os
import pathlib
import resource
import tempfile
import time

from simex.data.explained import ShardPlan, make_shard, report_path
from simex.data.runs import CurriculumRuns
from simex.problems.sources.curriculum.spec import Grammar
from simex.sandbox.outcome import RunRequest
from simex.sandbox.pool import SandboxPool

QUICKSTART = Grammar(
    feeds=("list",),
    arrangements=("none", "reverse", "tail", "head"),
    filters=("even", "odd", "above", "below"),
    maps=("add", "times", "halve"),
    reducers=("sum", "count", "max", "last", "collect"),
    styles=("nested",),
)


def cpu_secs() -> float:
    """Of this process, of all below it (the sandbox), and of those that have ended."""
    ticks = 0
    parents, own = {}, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        own[pid] = sum(map(int, fields[11:15]))  # user, system, and of the reaped
    for pid, used in own.items():
        above = pid
        while above and above != os.getpid():
            above = parents.get(above, 0)
        ticks += used if above else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib() -> float:
    """Of this process, now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(plan: ShardPlan, index: int) -> dict:
    """One round: CPU and wall seconds of the bare runs and of the shard."""
    runs = list(plan.runs.shard("train", index, size=plan.shard_size, seed=plan.seed))
    with SandboxPool(1, plan.backend) as pool:
        # The jail is up before the clock starts: a build starts it once.
        assert pool.submit(RunRequest(source="", stdin="")).result().status.is_ok
        begin, wall = cpu_secs(), time.monotonic()
        requests = (RunRequest(source=r.source, stdin=r.stdin) for r in runs)
        assert all(outcome.status.is_ok for outcome in pool.run_all(requests))
        bare, bare_wall = cpu_secs() - begin, time.monotonic() - wall
        begin, wall = cpu_secs(), time.monotonic()
        make_shard(plan, "train", index, pool)
        cpu, wall = cpu_secs() - begin, time.monotonic() - wall
    report = json.loads(report_path(plan.out, "train", index).read_text())
    return {
        "examples": report["num_examples"],
        "bare_cpu": bare,
        "bare_wall": bare_wall,
        "cpu": cpu,
        "wall": wall,
        "resident_mib": resident_mib(),
    }


def main() -> None:
    """Runs the rounds and prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--size", type=int, default=250)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--style", default="compact")
    parser.add_argument("--tokenizer", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        plan = ShardPlan(
            out=out,
            runs=CurriculumRuns(grammar=QUICKSTART),
            shard_size=arguments.size,
            seed=0,
            style=arguments.style,
            min_grounding=1.0,
            max_chars=4000,
            max_events=2000,
            verify=False,
            tokenizer=arguments.tokenizer,
            backend="auto",
            allow_unsafe=False,
        )
        measure(plan, 10**6)  # imports and caches
        rounds = [measure(plan, index) for index in range(arguments.shards)]
    total = {key: sum(r[key] for r in rounds) for key in rounds[0]}
    print(
        json.dumps(
            {
                "examples": total["examples"],
                "cpu_ms_each": round(1e3 * total["cpu"] / total["examples"], 2),
                "bare_cpu_ms_each": round(
                    1e3 * total["bare_cpu"] / total["examples"], 2
                ),
                "ratio_to_bare": round(total["cpu"] / total["bare_cpu"], 2),
                f"per_sec_of_{arguments.cores}_cores": round(
                    arguments.cores * total["examples"] / total["cpu"]
                ),
                "per_sec_wall_one_worker": round(total["examples"] / total["wall"]),
                "bare_per_sec_wall": round(total["examples"] / total["bare_wall"]),
                "resident_mib": [round(r["resident_mib"]) for r in rounds],
            }
        )
    )


if __name__ == "__main__":
    main()
