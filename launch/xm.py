#!/usr/bin/env python3
"""Runs of simex by xmanager: on this machine, on Kubernetes (TPU, GPU), on Vertex AI.

On a TPU slice of a GKE cluster, with one command:

  launch/xm.py experiments/quickstart.gin --executor kubernetes --tpu v5e:2x4 \\
      --image gcr.io/my-project/simex --workdir gs://my-bucket/runs/first

It needs `gcloud container clusters get-credentials CLUSTER`, a node pool of that type, a
bucket that the pods' service account may write (workload identity, and the cluster's
Cloud Storage FUSE driver), and the image, once and after changes:

  docker build -f launch/Dockerfile -t gcr.io/my-project/simex . && docker push \\
      gcr.io/my-project/simex

The image holds this checkout without models/ and runs/: models and data are read from the
bucket, where any word names it: --set 'import_model.source="gs://my-bucket/Qwen2.5-7B"'.

On this machine, without an image:

  launch/xm.py experiments/smoke.gin --workdir runs/first

Many runs as one experiment: `simex sweep ... --launcher xm --xm 'WORDS'`. Further words go
to `simex run`, e.g. --set 'train_rl.num_steps=100'. `launch/xm_env` installs xmanager into
.venv-xm, which this command uses. On this machine and on Vertex AI it waits for the runs;
on Kubernetes they go on by themselves, and start again when a node is preempted. The same
command continues what was stopped, and refuses what still runs. Without Kubernetes: launch/tpu.py.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shlex
import sys

from tpu_slice import Refused

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-xm" / "bin" / "python"
# Known here, too: else what follows one of them would be taken for the experiment.
RUN_OPTIONS = ("set", "only", "stages")
VERTEX_TPUS = ("v2", "v3")  # the types that xmanager 0.8.5 can ask of Vertex


@dataclasses.dataclass(frozen=True)
class Run:
    """One job: its name, and what follows `simex`."""

    name: str
    words: tuple


def main(words=None):
    """Carries out one command line; the exit code."""
    options, more = make_parser().parse_known_args(words)
    for name in RUN_OPTIONS:
        more += [w for value in getattr(options, name) for w in (f"--{name}", value)]
    use_environment()
    try:
        runs = read_runs(options, more)
        executor = make_executor(options)
        return launch(options, runs, executor)
    except Refused as error:
        print(f"launch/xm.py: {error}", file=sys.stderr)
        return 2


def make_parser():
    """The options of this command; other words are `simex run`'s."""
    parser = argparse.ArgumentParser(
        prog="launch/xm.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("experiment", nargs="?", help="a gin file of this checkout")
    parser.add_argument(
        "--workdir", help="gs://BUCKET/FOLDER, or a folder that jobs see"
    )
    parser.add_argument(
        "--jobs", type=pathlib.Path, help="a file with runs, of a sweep"
    )
    for name in RUN_OPTIONS:
        parser.add_argument(
            f"--{name}", action="append", default=[], help="of simex run"
        )
    parser.add_argument("--title", default="simex", help="of the experiment")
    parser.add_argument(
        "--executor", choices=("local", "kubernetes", "vertex"), default="local"
    )
    parser.add_argument("--tpu", metavar="TYPE:TOPOLOGY", help="e.g. v5e:4x4, v6e:2x4")
    parser.add_argument("--gpu", metavar="TYPE:COUNT", help="e.g. a100:8, h100:8")
    parser.add_argument(
        "--image",
        help="with simex in it, for TPUs or for GPUs; see launch/Dockerfile",
    )
    parser.add_argument(
        "--service-account", default="default", help="of Kubernetes, for the bucket"
    )
    parser.add_argument("--spot", action="store_true", help="Kubernetes: spot nodes")
    parser.add_argument(
        "--parallel", type=int, default=1, help="runs at a time on this machine"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="make every job, print it, launch none"
    )
    return parser


def use_environment():
    """Goes on in .venv-xm if xmanager is not at hand here."""
    if importlib.util.find_spec("xmanager"):
        return
    if not ENVIRONMENT.exists():
        sys.exit("launch/xm.py: xmanager must be installed; call launch/xm_env once.")
    os.execv(ENVIRONMENT, [str(ENVIRONMENT), *sys.argv])


def read_runs(options, more):
    """The runs that the words or the file of --jobs describe."""
    if (options.experiment is None) == (options.jobs is None):
        raise Refused("Name either an experiment or, with --jobs, a file of runs.")
    if options.parallel < 1:
        raise Refused(f"--parallel must be at least 1; got {options.parallel}.")
    if options.jobs:
        jobs = json.loads(options.jobs.read_text(encoding="utf-8"))
        runs = [Run(job["name"], (*job["words"], *more)) for job in jobs]
    else:
        if not options.workdir:
            raise Refused("--workdir must say where the run is written.")
        words = ("run", options.experiment, "--workdir", options.workdir, *more)
        runs = [Run(pathlib.Path(options.experiment).stem, words)]
    if options.executor != "local":
        refuse_lost_workdirs(runs)
        runs = [in_image(run) for run in runs]
    return runs


def in_image(run):
    """The run with its experiment as the image has it, by a path from the checkout."""
    command, experiment, *more = run.words
    # Where `simex run` looks for it, here and in the image.
    places = (pathlib.Path(), ROOT, ROOT / "experiments")
    found = [(place / experiment).resolve() for place in places]
    found = [path for path in found if path.is_file() and path.is_relative_to(ROOT)]
    if not found:
        raise Refused(
            "An experiment must be a file of this checkout, which the image has; "
            f"{experiment} is none in {ROOT}."
        )
    name = str(found[0].relative_to(ROOT))
    return dataclasses.replace(run, words=(command, name, *more))


def refuse_lost_workdirs(runs):
    """The disk of a container goes with it; a resumed run would find nothing."""
    for run in runs:
        workdir = run.words[run.words.index("--workdir") + 1]
        if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+/.+", workdir):
            raise Refused(
                "--workdir must be gs://BUCKET/FOLDER: the disk of a container goes with "
                f"it. Got {workdir}."
            )


def make_executor(options):
    """The xmanager executor that the words ask for."""
    from xmanager import xm, xm_local

    if options.tpu and options.gpu:
        raise Refused("--tpu and --gpu exclude each other.")
    if options.executor == "local":
        if options.tpu or options.gpu or options.image:
            raise Refused(
                "--tpu, --gpu and --image are for --executor kubernetes and vertex; on "
                "this machine a run uses what is there."
            )
        return xm_local.Local()
    if not options.image:
        raise Refused(
            "--image must name an image with simex in it. Make it once: docker build -f "
            "launch/Dockerfile -t IMAGE . && docker push IMAGE"
        )
    if options.executor == "kubernetes":
        import xm_gke

        return xm_gke.make_executor(options)
    requirements = vertex_requirements(options)
    try:
        return xm_local.Vertex(xm.JobRequirements(**requirements))
    except KeyError as error:
        known = ", ".join(sorted(kind.name.lower() for kind in xm.ResourceType))
        raise Refused(
            f"--gpu must be of a type that xmanager knows ({known}); got "
            f"{options.gpu}: {error}."
        ) from None


def vertex_requirements(options):
    """What xmanager can ask of Vertex AI; a clear refusal of what it cannot."""
    if options.tpu:
        kind, _, count = options.tpu.partition(":")
        if kind not in VERTEX_TPUS or not count.isdigit():
            raise Refused(
                f"xmanager 0.8.5 can ask Vertex AI for TPU {' and '.join(VERTEX_TPUS)} "
                f"only, by cores (v3:8); got {options.tpu}. Newer ones: --executor "
                "kubernetes, or launch/tpu.py."
            )
        return {f"tpu_{kind}": int(count)}
    kind, _, count = (options.gpu or "").partition(":")
    if not kind:
        return {"cpu": 8}
    if not count.isdigit():
        raise Refused(f"--gpu must be TYPE:COUNT, e.g. a100:8; got {options.gpu}.")
    return {kind: int(count)}


def make_job(run, executor, options):
    """The job of one run, by xmanager's own types."""
    from xmanager import xm
    from xmanager.xm_local import executables

    if options.executor == "local":
        executable = executables.LocalBinary(
            name="simex", command=str(ROOT / "launch" / "local")
        )
        words = run.words
    else:
        executable = executables.GoogleContainerRegistryImage(
            name="simex", image_path=options.image
        )
        # Buckets are folders below /gcs there: Vertex does so by itself, xm_gke mounts.
        words = [word.replace("gs://", "/gcs/") for word in run.words]
    return xm.Job(
        executable=executable,
        executor=executor,
        name=job_name(run.name),
        args=list(words),
    )


def job_name(name):
    """`name` as Kubernetes wants it: small letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "run"


def launch(options, runs, executor):
    """One experiment of all runs; the exit code."""
    from absl import flags
    from xmanager import xm, xm_local

    flags.FLAGS(["xm"])  # xmanager reads its flags; these are their defaults
    jobs = [make_job(run, executor, options) for run in runs]
    if options.dry_run:
        for job in jobs:
            print(describe(job))
        return 0
    if options.executor == "kubernetes":
        import xm_gke

        xm_gke.refuse_running(jobs)
    at_once = asyncio.Semaphore(
        options.parallel if options.executor == "local" else len(jobs)
    )
    failed = []

    async def run_one(experiment, run, job):
        async with at_once:
            try:
                unit = await experiment.add(job)
                await unit.wait_until_complete()
            except (xm.ExperimentUnitError, RuntimeError) as error:
                print(f"launch/xm.py: {run.name} failed: {error}", file=sys.stderr)
                failed.append(run.name)

    async def run_all():
        with contextlib.suppress(RuntimeError):  # raised at the end for `failed`
            async with xm_local.create_experiment(options.title) as experiment:
                pairs = zip(runs, jobs, strict=True)
                await asyncio.gather(*(run_one(experiment, *pair) for pair in pairs))

    xm.run_in_asyncio_loop(run_all)()
    if failed:
        print(
            f"launch/xm.py: {len(failed)} of {len(runs)} runs failed: "
            f"{', '.join(failed)}. The same command continues them.",
            file=sys.stderr,
        )
    return 1 if failed else 0


def describe(job):
    """A job as text: the manifest for Kubernetes, else the command and where it runs."""
    import xm_gke
    from xmanager import xm_local

    if isinstance(job.executor, xm_gke.Gke):
        return xm_gke.as_yaml(xm_gke.make_manifest(job.name, job))
    place = "this machine"
    if isinstance(job.executor, xm_local.Vertex):
        from xmanager.cloud import vertex

        machine = vertex.get_machine_spec(job)
        kind = machine.get("accelerator_type")
        place = f"{kind.name} x {machine['accelerator_count']}" if kind else "CPUs"
    return f"{job.name}: {shlex.join(job.args.to_list(str))} on {place}"


if __name__ == "__main__":
    sys.exit(main())
