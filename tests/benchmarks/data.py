"""From programs to bytes: how fast, against bare execution, and with how much memory.

    python -m tests.benchmarks.data --shards 8 --size 250

First one worker runs the programs of a shard bare, then makes the shard (run traced,
told, checked, tokenized, written), in turns: CPU seconds of the machine, which should
do nothing else, and their ratio. Then as many processes as cores make the shards, as a job
does; the rate is taken from the first whole shard to the last, so that the start of
processes is left out. A tokenizer of the quickstart's size is trained on the first
shard.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

from simex.data.explained import ShardPlan, make_shard, report_path
from simex.data.runs import CurriculumRuns
from simex.jobs.shard_makers import make_in_processes
from simex.jobs.train_tokenizer import CODE_SYMBOLS
from simex.nlex.layout import LAYOUT_SYMBOLS
from simex.nlex.rewriters import REWRITERS
from simex.problems.sources.curriculum.spec import Grammar
from simex.sandbox.driverless import DriverlessPool
from simex.sandbox.outcome import RunRequest
from simex.tasks import predict_output
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.traces.collect import collect_traces
from simex.traces.trace import Trace

QUICKSTART = Grammar(
    feeds=("list",),
    arrangements=("none", "reverse", "tail", "head"),
    filters=("even", "odd", "above", "below"),
    maps=("add", "times", "halve"),
    reducers=("sum", "count", "max", "last", "collect"),
    styles=("nested",),
)


def cpu_secs() -> float:
    """Of the whole machine, on which nothing else should run.

    Not of this process and those below: a jail takes the times of its programs with it
    when it ends, and some jails are not waited for by us.
    """
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measure(plan: ShardPlan, index: int, pool: DriverlessPool) -> dict[str, float]:
    """One turn: CPU and wall seconds of the bare runs and of the shard."""
    runs = list(plan.runs.shard("train", index, size=plan.shard_size, seed=plan.seed))
    begin, wall = cpu_secs(), time.monotonic()
    futures = [pool.submit(RunRequest(source=r.source, stdin=r.stdin)) for r in runs]
    assert all(future.result().status.is_ok for future in futures)
    bare, bare_wall = cpu_secs() - begin, time.monotonic() - wall
    begin, wall = cpu_secs(), time.monotonic()
    make_shard(plan, "train", index, pool)
    return {
        "examples": num_examples(plan, index),
        "bare_cpu": bare,
        "bare_wall": bare_wall,
        "cpu": cpu_secs() - begin,
        "wall": time.monotonic() - wall,
    }


def num_examples(plan: ShardPlan, index: int) -> int:
    """Of a whole shard."""
    report = json.loads(report_path(plan.out, "train", index).read_text())
    return int(report["num_examples"])


def train_tokenizer(plan: ShardPlan, path: pathlib.Path, pool: DriverlessPool) -> None:
    """On programs of a shard that is not measured, and the digits of their traces."""
    runs = list(plan.runs.shard("train", 10**6, size=plan.shard_size, seed=plan.seed))
    texts = [predict_output.render_prompt(run.source, run.stdin) for run in runs]
    for trace in collect_traces(pool, [(run.source, run.stdin) for run in runs]):
        assert isinstance(trace, Trace)
        told = REWRITERS[plan.style](trace)
        texts.append(predict_output.render_target(told.text, trace.stdout))
    symbols = LAYOUT_SYMBOLS + CODE_SYMBOLS
    train_sentencepiece(texts, path, vocab_size=768, symbols=symbols)


def measure_rate(plan: ShardPlan, num_shards: int, cores: int) -> float:
    """Examples a second of `cores` processes, from the first whole shard on."""
    wanted = [("train", 1000 + index) for index in range(num_shards)]
    ends, done = [], []
    for _, index in make_in_processes(plan, wanted, cores):
        ends.append(time.monotonic())
        done.append(num_examples(plan, index))
    # Each process is in the middle of a shard when the first one ends, or at its end.
    return sum(done[cores:]) / (ends[-1] - ends[cores - 1])


def main() -> None:
    """Runs the turns and prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--size", type=int, default=250)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--style", default="compact")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as out, DriverlessPool(1) as pool:
        plan = ShardPlan(
            out=out,
            runs=CurriculumRuns(grammar=QUICKSTART),
            shard_size=arguments.size,
            seed=0,
            style=arguments.style,
            min_grounding=1.0,
            max_chars=4000,
            max_events=2000,
            max_trace_bytes=1 << 20,
            cpu_secs=2.0,
            verify=False,
            tokenizer=f"{out}/tokenizer.model",
            backend="auto",
            allow_unsafe=False,
        )
        train_tokenizer(plan, pathlib.Path(plan.tokenizer), pool)
        measure(plan, 10**6, pool)  # imports and caches
        turns = [measure(plan, index, pool) for index in range(arguments.shards)]
        rate = measure_rate(plan, 2 * arguments.shards, arguments.cores)
    total = {key: sum(turn[key] for turn in turns) for key in turns[0]}
    num = total["examples"]
    report = {
        "examples": num,
        "cpu_ms_each": round(1e3 * total["cpu"] / num, 2),
        "bare_cpu_ms_each": round(1e3 * total["bare_cpu"] / num, 2),
        "ratio_to_bare_cpu": round(total["cpu"] / total["bare_cpu"], 2),
        "ratio_to_bare_wall": round(total["wall"] / total["bare_wall"], 2),
        "per_sec_one_worker": round(num / total["wall"]),
        "bare_per_sec_one_worker": round(num / total["bare_wall"]),
        f"per_sec_{arguments.cores}_processes": round(rate),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
