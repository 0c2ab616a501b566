"""How many real functions and programs can be traced and explained, and why not all.

    python tests/benchmarks/real_programs.py ../shared/data/public 300

Takes every k-th record of each file so that about so many remain; prints one JSON line
a file and style. A program counts as deterministic if it prints the same thing twice,
traced and untraced (`verify`).
"""

import collections
import json
import pathlib
import sys
import time
from collections.abc import Iterator

from simex.nlex.grounding import check_grounding
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth
from simex.problems.problem import Limits
from simex.sandbox.pool import SandboxPool
from simex.traces.collect import TraceFailure, collect_traces

STYLES = ("compact", "prose", "raw_trace")


def list_programs(path: pathlib.Path, count: int) -> Iterator[tuple[str, str, str]]:
    """(id, source, stdin) of about `count` records."""
    records = [json.loads(line) for line in path.open(encoding="utf-8")]
    for record in records[:: max(1, len(records) // count)]:
        if "program" in record:
            yield record["id"], record["program"], record["stdin"]
        elif record["kind"] == "returns":
            parts = (record["source"], record["setup"])
            call = f"print(repr({record['call']}))\n"
            yield record["id"], "\n".join([*parts, call]), ""


def measure(path: pathlib.Path, count: int, pool: SandboxPool) -> None:
    """Traces and explains the programs of one file, and prints what came of them."""
    programs = list(list_programs(path, count))
    dropped: collections.Counter[str] = collections.Counter()
    grounded: collections.Counter[str] = collections.Counter()
    checked: collections.Counter[str] = collections.Counter()
    seconds: collections.Counter[str] = collections.Counter()
    traces = collect_traces(
        pool, [p[1:] for p in programs], limits=Limits(cpu_secs=10.0), verify=True
    )
    for (name, _, _), trace in zip(programs, traces, strict=True):
        if isinstance(trace, TraceFailure):
            dropped[trace.reason.partition(":")[0]] += 1
            continue
        if trace.is_truncated:
            dropped["over 10,000 events or 1 MiB"] += 1
            continue
        truth = Truth(trace)
        for style in STYLES:
            begin = time.process_time()
            told = REWRITERS[style](trace)
            grounding = check_grounding(told, truth)
            seconds[style] += time.process_time() - begin
            checked[style] += 1
            grounded[style] += grounding.score == 1.0
            for judged in grounding.false_statements[:1]:
                start, end = judged.statement.start, judged.statement.end
                print(
                    name,
                    style,
                    repr(told.text[max(0, start - 40) : end + 20][:200]),
                    judged.reason[:100],
                    file=sys.stderr,
                )
    print(
        json.dumps(
            {
                "file": path.name,
                "programs": len(programs),
                "explained": max(checked.values(), default=0),
                "dropped": dict(dropped),
                "grounded": dict(grounded),
                "ms_each": {
                    s: round(1e3 * seconds[s] / checked[s], 2) for s in checked
                },
            }
        ),
        flush=True,
    )


def main() -> None:
    """Measures every file of functions and of program runs in the folder."""
    folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    with SandboxPool(2) as pool:
        for pattern in ("functions_*.jsonl", "io_triples.jsonl"):
            for path in sorted(folder.glob(pattern)):
                measure(path, count, pool)


if __name__ == "__main__":
    main()
