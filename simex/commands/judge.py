"""`simex judge`: which programs solve their problems, one line of verdicts each.

Both inputs are JSON lines and are checked wholly before the first program runs. A
problem: {"id", "tests": [{"stdin", "stdout"} or {"fn", "args", "result"}, ...]} and, if
wanted, "checker" (lines, codecontests, livecodebench, kattis, kattis_case, exact),
"float_tol" (for lines, kattis and kattis_case) and "limits" {"cpu_secs", "memory_mib",
"output_mib"}. Values that are no JSON stand as texts
of Python literals under "args_text" and "result_text". A program: {"problem_id",
"program_id", "source"}. Stopped by Ctrl-C, the same command continues where it was. A
program that a fault of the machine kept from being judged has "accepted": null, also
when the file is continued; cut the file before that line to have it judged anew.
"""

import argparse
import collections
import pathlib
import shlex

from simex.core.errors import UserError
from simex.core.progress import progress

HELP = "run programs against the tests of their problems"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex judge`."""
    paths = {
        "--problems": "the problems with their tests",
        "--programs": "the programs",
        "--out": "where the verdicts go; continued if it is there",
    }
    for name, text in paths.items():
        parser.add_argument(
            name, required=True, type=pathlib.Path, metavar="JSONL", help=text
        )
    parser.add_argument(
        "--workers", type=int, help="jails side by side (default: one a usable core)"
    )
    parser.add_argument(
        "--backend",
        default="auto",
        help="which jail (default: the strongest that works here)",
    )
    parser.add_argument(
        "--early-stop",
        action="store_true",
        help="no test of a program after its first one that is not accepted",
    )
    parser.add_argument(
        "--allow-unsafe",
        action="store_true",
        help="run without a jail where none works: only for programs that you trust",
    )


def command(arguments: argparse.Namespace) -> int:
    """Judges what the words ask for; the exit code."""
    from simex.sandbox.judge_batch import judge_batch, load_batch
    from simex.sandbox.pool import SandboxPool
    from simex.sandbox.verdict_file import find_unjudged, open_verdict_file

    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers must be at least 1; got {arguments.workers}.")
    batch = load_batch(
        arguments.problems,
        arguments.programs,
        arguments.out,
        early_stop=arguments.early_stop,
    )
    words = {True: "accepted", False: "not accepted", None: "without a verdict"}
    counts = collections.Counter({word: 0 for word in words.values()})
    with (
        SandboxPool(
            arguments.workers, arguments.backend, allow_unsafe=arguments.allow_unsafe
        ) as pool,
        open_verdict_file(arguments.out, batch.stamp) as file,
    ):
        todo = batch.num_programs - file.num_done
        records = judge_batch(pool, batch, file)
        for record in progress(records, todo, label="judge", unit="program"):
            counts[words[record["accepted"]]] += 1
    before = f", {file.num_done} before" if file.num_done else ""
    said = ", ".join(f"{number} {word}" for word, number in counts.items())
    print(f"{arguments.out}: {todo} programs judged{before}: {said}")
    number = find_unjudged(arguments.out)
    if number is not None:
        path = shlex.quote(str(arguments.out))
        print(
            f"Line {number} is the first without a verdict, for a fault of the machine. "
            f"Once that is mended, `sed -i '{number},$d' {path}` and the same "
            "command judge it and all after it anew."
        )
    return 0
