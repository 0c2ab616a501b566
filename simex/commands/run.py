"""`simex run`: an experiment file, stage by stage."""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence

from simex.commands.experiment import add_experiment, refuse_bucket, split_names
from simex.core.config import Experiment, Stage, choose_stages, load_experiment
from simex.core.owner import default_workdir
from simex.core.processes import Processes
from simex.core.progress import format_secs
from simex.core.stages import Plan, plan_stages, run_experiment
from simex.core.system import num_usable_cores

HELP = "run an experiment, or go on where it stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex run`."""
    add_experiment(
        parser,
        workdir="where everything is written (default: runs/ and the experiment's name)",
    )
    parser.add_argument(
        "--only",
        "--stages",
        type=split_names,
        action="extend",
        default=[],
        metavar="STAGE[,STAGE]",
        help="run these stages only; those before them must be done; repeatable",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the experiment, say what would run, and stop",
    )


def command(arguments: argparse.Namespace) -> int:
    """Runs, or with --dry-run describes, what the words ask for; the exit code."""
    _register_jobs()
    experiment = load_experiment(arguments.experiment, arguments.overrides)
    workdir = arguments.workdir or default_workdir(experiment)
    refuse_bucket(workdir)
    chosen = choose_stages(experiment.stages, arguments.only)
    _refuse_impossible(experiment, workdir)
    plans = plan_stages(experiment, workdir)
    todo = [plan.stage for plan in plans if plan.stage in chosen and not plan.is_done]
    ahead = dataclasses.replace(experiment, stages=tuple(todo))
    if arguments.dry_run:
        _refuse_uneven_rows(ahead, _choose_cpu_devices(experiment))
        print(render_plan(experiment, plans, workdir))
        return 0
    _prepare_devices(experiment, workdir)
    # Both before the first stage, not before the one that would stop at it.
    _refuse_uneven_rows(ahead)
    _refuse_rollouts_ahead(todo)
    run_experiment(experiment, workdir, only=arguments.only, processes=_processes())
    return 0


def render_plan(
    experiment: Experiment, plans: Sequence[Plan], workdir: pathlib.Path
) -> str:
    """What `--dry-run` prints: the stages, then the settings that are not defaults."""
    lines = [f"{experiment.path} in {workdir}", "", "Stages"]
    width = max(len(plan.stage.name) for plan in plans)
    for plan in plans:
        lines.append(f"  {plan.stage.name:{width}}  {_render_todo(plan)}")
    lines += ["", "Settings that differ from their defaults"]
    changed = [s for s in experiment.changed_settings if s.key != "run.stages"]
    for setting in changed:
        was = "" if setting.default is None else f"default {setting.default}; "
        lines.append(f"  {setting.key} = {setting.text}  ({was}{setting.where})")
    return "\n".join(lines if changed else [*lines, "  none"])


def _render_todo(plan: Plan) -> str:
    if plan.is_done and plan.stamp is not None:
        return f"{plan.todo.value} ({format_secs(plan.stamp.seconds)})"
    return plan.todo.value + (f": {plan.why}" if plan.why else "")


def _register_jobs() -> None:
    from simex.jobs.wiring import register  # imports every room, and so jax

    register()


def _refuse_impossible(experiment: Experiment, workdir: pathlib.Path) -> None:
    from simex.doctor.beforehand import refuse_impossible  # imports jax

    refuse_impossible(experiment.stages, workdir)


def _choose_cpu_devices(experiment: Experiment) -> int:
    # For all stages, done or not: one that goes on keeps its number of devices.
    from simex.doctor.divisibility import even_devices  # imports jax

    return experiment.cpu_devices or even_devices(experiment, num_usable_cores())


def _refuse_uneven_rows(experiment: Experiment, num_devices: int | None = None) -> None:
    """None: over the devices that jax has, which a dry run does not start."""
    import jax

    from simex.doctor.divisibility import mesh_of, refuse_uneven

    if num_devices:
        refuse_uneven(experiment, num_devices)
    elif any(mesh_of(stage) for stage in experiment.stages):
        local = jax.local_device_count()
        refuse_uneven(experiment, jax.device_count(), num_local=local)


def _refuse_rollouts_ahead(stages: Sequence[Stage]) -> None:
    from simex.doctor.beforehand import refuse_rollouts_ahead
    from simex.sharding.processes import num_processes

    refuse_rollouts_ahead(stages, num_processes())


def _prepare_devices(experiment: Experiment, workdir: pathlib.Path) -> None:
    # Before any job: jax reads the number of devices once, when it starts.
    from simex.core.heap import keep_freed_memory
    from simex.sharding.cpu import configure_compile_cache, configure_cpu_devices
    from simex.sharding.processes import join_processes

    keep_freed_memory()
    configure_cpu_devices(_choose_cpu_devices(experiment))
    join_processes()
    configure_compile_cache(workdir / ".compile_cache")


def _processes() -> Processes:
    from simex.sharding.processes import Processes as JaxProcesses

    return JaxProcesses()
