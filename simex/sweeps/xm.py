"""Hands the runs of a sweep to launch/xm.py, as one xmanager experiment."""

import json
import pathlib
import shlex
import subprocess
import tempfile
from collections.abc import Sequence

import simex
from simex.core.errors import UserError
from simex.sweeps.local import Run

LAUNCHER = pathlib.Path(simex.__file__).parents[1] / "launch" / "xm.py"


def launch(runs: Sequence[Run], overrides: Sequence[str], *, words: str) -> int:
    """Starts every run as a job of one experiment; the launcher's exit code.

    Args:
      runs: of the sweep; each continues by itself where it was stopped.
      overrides: settings of every run.
      words: further words of launch/xm.py, as in a shell.
    """
    if not LAUNCHER.exists():
        raise UserError(f"{LAUNCHER} must exist; run a checkout of simex.")
    jobs = [{"name": run.point.name, "words": run.words(overrides)} for run in runs]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(jobs, file)
        file.flush()
        command = [str(LAUNCHER), "--jobs", file.name, *shlex.split(words)]
        return subprocess.run(command, check=False).returncode
