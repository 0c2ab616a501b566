"""Jobs that do little, and a program whose runs are real processes.

``python -m tests.sweeps.field run field.gin`` is `simex run` with these jobs alone; it
does not wait for jax.
"""

import json
import pathlib
import sys
import time
import types

import gin

FIELD = "run.stages = [@sow, @reap]\nreap.rate = 0.1\nreap.crop = 'oat'\n"


def sow(workdir: pathlib.Path, stage_dir: pathlib.Path, *, seeds: int = 3) -> None:
    """Leaves a file, and beside all workdirs a line for each time it was called."""
    with open(workdir.parent / "sown.txt", "a") as file:
        file.write(f"{workdir.name}\n")
    (stage_dir / "field.txt").write_text("x" * seeds)


def reap(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    rate: float,
    crop: str,
    secs: float = 0.0,
) -> None:
    """Leaves an estimate of `rate` times what was sown; rye fails."""
    (stage_dir / "started").touch()
    time.sleep(secs)
    if crop == "rye":
        raise ValueError("rye does not grow")
    share = rate * len((workdir / "sow" / "field.txt").read_text())
    estimate = {"value": share, "low": share - 0.1, "high": share + 0.1, "n": 7}
    estimate |= {"stderr": 0.05, "problems": 7}
    (workdir / "results.json").write_text(json.dumps({"crop": {"yield": estimate}}))


def register() -> None:
    """Makes the jobs known to gin."""
    gin.configurable(sow)
    gin.configurable(reap)


def main() -> int:
    """The command line of simex with these jobs."""
    from simex.commands import run, sweep
    from simex.main import main as simex_main

    register()
    wiring = types.ModuleType("simex.jobs.wiring")  # the real one imports jax
    wiring.__dict__["register"] = lambda: None
    sys.modules[wiring.__name__] = wiring
    vars(run)["_prepare_devices"] = lambda experiment, workdir: None
    vars(sweep)["simex_command"] = simex_command
    return simex_main()


def simex_command() -> list[str]:
    """What stands for `simex` in these tests."""
    return [sys.executable, "-m", "tests.sweeps.field"]


if __name__ == "__main__":
    sys.exit(main())
