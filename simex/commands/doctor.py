"""`simex doctor [EXPERIMENT]`: is this machine fit, and does the experiment fit it?

Prints a list of checks, each ok, warn or fail: devices; the sandbox, which runs a
program; and for an experiment its stages, whether what they read is there, whether rows
divide over the devices, memory and the least time that training needs, one supervised
step, one RL step with the invariants that a run checks before its first update, and one
export, each of a tiny model with the settings of its stage. Exit code 2 if one fails.
"""

import argparse
import json
import pathlib

from simex.commands.experiment import add_experiment
from simex.core.errors import UserError

HELP = "check the machine and an experiment before a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex doctor`."""
    add_experiment(parser, is_optional=True)
    parser.add_argument(
        "--devices", type=int, help="as if the CPU were so many devices"
    )
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def command(arguments: argparse.Namespace) -> int:
    """Runs the checks and prints them; the exit code."""
    from simex.core.config import load_experiment
    from simex.core.system import num_usable_cores
    from simex.doctor.checks import Status, run_checks
    from simex.doctor.divisibility import even_devices
    from simex.jobs.wiring import register
    from simex.sharding.cpu import configure_cpu_devices

    register()
    if arguments.overrides and not arguments.experiment:
        raise UserError("--set needs an experiment.")
    experiment, num_devices = None, num_usable_cores()
    if arguments.experiment:
        experiment = load_experiment(arguments.experiment, arguments.overrides)
        num_devices = experiment.cpu_devices or even_devices(experiment, num_devices)
    configure_cpu_devices(arguments.devices or num_devices)
    name = experiment.name if experiment else ""
    checks = []
    for check in run_checks(
        experiment, arguments.workdir or pathlib.Path("runs") / name
    ):
        checks.append(check)
        if not arguments.json:
            print(f"{check.status.value:5} {check.name}: {check.text}", flush=True)
    if arguments.json:
        found = [
            {"name": c.name, "status": c.status.value, "text": c.text} for c in checks
        ]
        print(json.dumps({"checks": found}, indent=1))
    return 2 if any(check.status is Status.FAIL for check in checks) else 0
