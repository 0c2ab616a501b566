"""`simex sweep`: one experiment with several values of some settings.

Every combination is checked before anything runs. Each run has a folder that is named
by the values that change; a stage that two runs have with equal settings is made once. A
run that is done is passed over and one that was stopped goes on, so the same command
continues a sweep. At the end, and after every run, one table of all results is written:
results.md, .csv, .json and .html. A folder holds one sweep: further values of the same
settings may join it, other settings need a --workdir of their own. Those are refused in a
folder of this machine; in a bucket it is for you to see to.

On this machine:
  simex sweep experiments/quickstart.gin --grid 'train_rl.learning_rate=1e-5,3e-5'
On others, as one xmanager experiment (see launch/xm.py --help):
  simex sweep ... --workdir /shared/sweep --launcher xm --xm '--executor kubernetes ...'
"""

import argparse
import pathlib
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simex.commands.experiment import add_experiment, refuse_bucket, split_names
from simex.core.errors import UserError

if TYPE_CHECKING:  # at run time it would load jax for `simex --help`
    from simex.sweeps.local import Run

HELP = "run an experiment with several values of some settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex sweep`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_experiment(
        parser,
        workdir=(
            "holds a folder for each run (default: runs/ and the name, with .sweep)"
        ),
    )
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="KEY=VALUE,VALUE",
        help="values of a setting or macro, as in the file; several --grid multiply",
    )
    parser.add_argument(
        "--zip",
        action="append",
        default=[],
        metavar="KEY=VALUE,VALUE",
        help="the same, but the n-th values of all --zip go together",
    )
    parser.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="runs at a time"
    )
    parser.add_argument(
        "--estimates",
        type=split_names,
        action="extend",
        default=[],
        metavar="NAME[,NAME]",
        help="what the table shows, e.g. prediction.rl,solve.rl_pass_at_1",
    )
    parser.add_argument(
        "--launcher", choices=("local", "xm"), default="local", help="who starts runs"
    )
    parser.add_argument("--xm", default="", metavar="WORDS", help="for launch/xm.py")
    parser.add_argument(
        "--dry-run", action="store_true", help="check and list the runs, and stop"
    )
    parser.add_argument(
        "--table", action="store_true", help="only write the table of what is there"
    )


def command(arguments: argparse.Namespace) -> int:
    """Runs, lists or tabulates the sweep that the words describe; the exit code."""
    from simex.core.owner import default_workdir, save_owner
    from simex.core.workdir_lock import hold_workdir
    from simex.jobs.wiring import register
    from simex.sweeps import local, xm
    from simex.sweeps.points import load_points, make_points

    if arguments.parallel < 1:
        raise UserError(f"--parallel must be at least 1; got {arguments.parallel}.")
    points = make_points(arguments.grid, arguments.zip)
    register()
    experiments = load_points(arguments.experiment, points, arguments.overrides)
    root = arguments.workdir or default_workdir(experiments[0], suffix=".sweep")
    if arguments.launcher != "xm" or arguments.table:
        refuse_bucket(root)
    local.refuse_other_sweep(points, root)
    runs = local.make_runs(points, experiments, root)
    if arguments.dry_run:
        print(render_runs(runs, root))
        return 0
    if arguments.launcher == "xm" and not arguments.table:
        if not str(root).startswith("gs:"):
            save_owner(root, experiments[0], swept=points[0].keys)
        return xm.launch(runs, arguments.overrides, words=arguments.xm)
    with hold_workdir(root):
        save_owner(root, experiments[0], swept=points[0].keys)
        try:
            if not arguments.table:
                local.run_all(
                    runs,
                    lambda run: [*simex_command(), *run.words(arguments.overrides)],
                    parallel=arguments.parallel,
                    on_end=lambda run: _write_so_far(arguments, runs, root),
                )
        finally:
            table = _write(arguments, runs, root)
    print(f"{table}\nwrote {root / 'results.html'} and .md, .csv, .json beside it")
    _refuse_failed(runs)
    _refuse_unknown_estimates(arguments, runs)
    return 0


def simex_command() -> list[str]:
    """This command in a process of its own, found as it was found here."""
    is_safe = ["-P"] if sys.flags.safe_path else []
    return [sys.executable, *is_safe, "-m", "simex.main"]


def render_runs(runs: Sequence["Run"], root: pathlib.Path) -> str:
    """What `--dry-run` prints: every run, and the stages that it takes over."""
    from simex.core.shared_stages import num_shared

    lines = [f"{len(runs)} runs of {runs[0].experiment.path} in {root}", ""]
    for index, run in enumerate(runs):
        stages = run.experiment.stages
        most, giver = max(
            ((num_shared(o.experiment, run.experiment), o) for o in runs[:index]),
            key=lambda pair: pair[0],
            default=(0, run),
        )
        todo = ", ".join(stage.name for stage in stages[most:])
        shares = f"{most} stages of {giver.point.name}, then " if most else ""
        is_done = run.state.value == "done"
        lines.append(f"  {run.point.name}: {'done' if is_done else shares + todo}")
    return "\n".join(lines)


def _write(
    arguments: argparse.Namespace, runs: Sequence["Run"], root: pathlib.Path
) -> str:
    """Writes the tables; the one in Markdown. A name that no run has is a dash."""
    from simex.sweeps import table

    rows = table.collect_rows(runs)
    columns = table.choose_columns(rows, arguments.estimates)
    table.write_tables(root, rows, columns, title=root.name)
    return table.render_markdown(rows, columns)


def _write_so_far(
    arguments: argparse.Namespace, runs: Sequence["Run"], root: pathlib.Path
) -> None:
    """The tables while others run: a name that no run has must not stop them."""
    from simex.sweeps import table

    _write(arguments, runs, root)
    unknown = table.find_unknown(table.collect_rows(runs), arguments.estimates)
    if unknown:
        warnings.warn(
            f"No run has {', '.join(unknown)} yet; --table tells the names when all "
            "is done.",
            stacklevel=1,
        )


def _refuse_unknown_estimates(
    arguments: argparse.Namespace, runs: Sequence["Run"]
) -> None:
    from simex.core.names import unknown_name
    from simex.sweeps import table

    rows = table.collect_rows(runs)
    for name in table.find_unknown(rows, arguments.estimates):
        raise unknown_name("estimate", name, table.known_estimates(rows))


def _refuse_failed(runs: Sequence["Run"]) -> None:
    failed = [run for run in runs if run.state.value == "failed"]
    if failed:
        logs = ", ".join(str(run.log_path) for run in failed)
        raise UserError(
            f"{len(failed)} of {len(runs)} runs failed; their last lines stand in "
            f"{logs}. The same command tries them again."
        )
