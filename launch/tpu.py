#!/usr/bin/env python3
"""A run of simex on Cloud TPUs, from request to result: one command.

  launch/tpu.py run experiments/quickstart.gin --name first --type v5litepod-8 \\
      --zone us-west4-a --workdir gs://my-bucket/runs/first --spot

asks for the slice (a queued resource), waits until it is there, installs this checkout
on every worker, runs the experiment on all of them and shows the log of the first one.
When the slice is preempted it asks for a new one, and the run continues from its last
checkpoint. When the run has ended the slice is given back. If this command is stopped,
the run on the slice goes on, and the same command takes it up again. Workers get what git
has of this checkout; models and data are read from buckets, where any word names them:
--set 'import_model.source="gs://my-bucket/Qwen2.5-7B"'.

  launch/tpu.py run ... --dry-run          prints every command, and does nothing
  launch/tpu.py status --name first --zone us-west4-a
  launch/tpu.py logs   --name first --zone us-west4-a
  launch/tpu.py delete --name first --zone us-west4-a

With several slices status and logs need the --slices of the run, too.

Before the first time: install gcloud (cloud.google.com/sdk), `gcloud auth login`,
`gcloud config set project MY-PROJECT`, `gcloud services enable tpu.googleapis.com`, ask
for TPU quota in the zone, and make a bucket near it: `gcloud storage buckets create
gs://my-bucket --location=us-west4 --enable-hierarchical-namespace
--uniform-bucket-level-access`. What fits on which slice: `simex plan`.

Exit codes: 0 done; that of the run if it failed; 2 what was asked for cannot be done;
3 the slice was lost, in a run more often than --restarts; 130 stopped, the slice is still
there.
"""

import argparse
import pathlib
import re
import shlex
import sys

from tpu_slice import (
    IMAGES,
    ROOT,
    Refused,
    Slice,
    SliceLost,
    image_of,
    say,
    worker_command,
)


def main(words=None):
    """Carries out one command line; the exit code."""
    options, more = make_parser().parse_known_args(words)
    if more and options.word != "run":
        print(f"launch/tpu.py: unknown words: {shlex.join(more)}", file=sys.stderr)
        return 2
    try:
        return WORDS[options.word](options, more)
    except Refused as error:
        print(f"launch/tpu.py: {error}", file=sys.stderr)
        return 2
    except SliceLost as error:
        say(error)
        return 3
    except KeyboardInterrupt:
        say(
            f"stopped; the slice {options.name} is still there and costs money. The "
            "same command takes it up again, `launch/tpu.py delete` gives it back."
        )
        return 130


def make_parser():
    """The words and their options."""
    parser = argparse.ArgumentParser(
        prog="launch/tpu.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--name", required=True, help="of the slice; yours to choose")
    shared.add_argument("--zone", required=True, help="e.g. us-west4-a")
    shared.add_argument("--project", help="default: gcloud's own")
    shared.add_argument(
        "--slices", type=int, default=1, help="of one type (default: 1)"
    )
    shared.add_argument("--poll-secs", type=float, default=20.0, help=argparse.SUPPRESS)
    shared.add_argument(
        "--dry-run", action="store_true", help="only print the commands"
    )
    run = words.add_parser(
        "run",
        parents=[shared],
        help="everything, from request to result",
        allow_abbrev=False,
        epilog="Further words go to `simex run`, e.g. --set 'train_rl.num_steps=100'.",
    )
    run.add_argument("experiment", help="a gin file of this checkout")
    run.add_argument("--type", required=True, help="e.g. v5litepod-16, v5p-32, v6e-64")
    run.add_argument(
        "--workdir",
        required=True,
        help="gs://BUCKET/FOLDER, or a folder that all workers share",
    )
    run.add_argument("--runtime-version", help="image; default: by --type")
    price = run.add_mutually_exclusive_group()
    price.add_argument("--spot", action="store_true", help="cheap; may be preempted")
    price.add_argument("--reserved", action="store_true", help="from a reservation")
    run.add_argument("--restarts", type=int, default=20, help="after lost slices")
    run.add_argument("--keep", action="store_true", help="do not give the slice back")
    for word, text in (
        ("status", "the state of the slice and of each worker"),
        ("logs", "the log of the first worker, from its beginning"),
        ("delete", "gives the slice back"),
    ):
        words.add_parser(word, parents=[shared], help=text)
    return parser


def run(options, more):
    """From request to result; asks for a new slice when one is lost."""
    check(options)
    slice_ = Slice(options)
    for restart in range(options.restarts + 1):
        try:
            code = slice_.run_once(more)
            break
        except SliceLost as error:
            say(f"{error} ({restart} of {options.restarts} restarts used)")
            slice_.delete()
    else:
        say("the slice was lost too often; the same command goes on")
        return 3
    if not options.keep:
        slice_.delete()
    if code:
        say(f"the run ended with exit code {code}")
    return code


def check(options):
    """Refuses what could not work before anything is paid for."""
    kind = options.type = options.type.lower()
    if re.match(r"(tpu)?-?(v?7x|v7|ironwood)", kind):
        raise Refused(
            f"{options.type} is rented through Kubernetes only; use launch/xm.py "
            "--executor kubernetes."
        )
    if not options.runtime_version and image_of(kind) is None:
        raise Refused(
            f"--type must begin with {', '.join(IMAGES)}, or --runtime-version must "
            f"name its image; got {options.type}."
        )
    found = pathlib.Path(options.experiment).resolve()
    if not (found.is_file() and found.is_relative_to(ROOT)):
        raise Refused(
            f"EXPERIMENT must be a file of this checkout, which goes to the workers; "
            f"{found} is not one in {ROOT}."
        )
    options.experiment = str(found.relative_to(ROOT))
    is_bucket = re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+/.+", options.workdir)
    if not is_bucket and (options.spot or not options.workdir.startswith("/")):
        raise Refused(
            "--workdir must be gs://BUCKET/FOLDER: the disk of a slice goes with it, and "
            "workers do not see each other's. An absolute path that all workers share "
            f"(NFS) will do without --spot. Got {options.workdir}."
        )
    if options.slices < 1 or options.restarts < 0:
        raise Refused("--slices must be at least 1 and --restarts at least 0.")


def status(options, more):
    """Prints the state of the slice, and that of each worker's run."""
    slice_ = Slice(options)
    state = slice_.state()
    print(f"{options.name}: {state}")
    if state == "ACTIVE":
        print(slice_.on_workers(worker_command("status")), end="")
    return 0


def logs(options, more):
    """Prints the log of the first worker until its run ends; the run's exit code."""
    slice_ = Slice(options)
    if not options.dry_run and (state := slice_.state()) != "ACTIVE":
        raise Refused(f"{options.name} must be there to have a log; it is {state}.")
    return slice_.stream(worker_command("follow"))[0]


def delete(options, more):
    """Gives the slice back."""
    Slice(options).delete()
    return 0


WORDS = {"run": run, "status": status, "logs": logs, "delete": delete}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FileNotFoundError as error:
        if error.filename != "gcloud":
            raise
        say("gcloud must be installed; it is not on PATH. See cloud.google.com/sdk.")
        sys.exit(2)
