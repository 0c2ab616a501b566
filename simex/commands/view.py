"""`simex view`: what a run left behind, for people."""

import argparse
import os
import pathlib
import sys

from simex.core.errors import UserError

HELP = "look at the rollouts of a run, here and as HTML pages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex view`."""
    parser.add_argument("run", type=pathlib.Path, help="the folder of a run")
    parser.add_argument("--stage", default="", help="an RL stage (default: every one)")
    parser.add_argument("--step", type=int, help="a train step (default: the last)")
    parser.add_argument("--group", type=int, help="show all of one group of the step")
    parser.add_argument("--rollout", type=int, help="show one rollout of --group")
    parser.add_argument(
        "--all-pages",
        action="store_true",
        help="write the page of every recorded step, not of one",
    )


def command(arguments: argparse.Namespace) -> int:
    """Prints a step and writes its page beside the record; the exit code."""
    if arguments.rollout is not None and arguments.group is None:
        raise UserError("--rollout names one of a group; add --group.")
    return view_rollouts(arguments)


def view_rollouts(arguments: argparse.Namespace) -> int:
    """What `simex view` does with a run that has recorded rollouts."""
    from simex.report import rollout_viewer  # imports jinja2

    steps = rollout_viewer.find_steps(arguments.run, stage=arguments.stage)
    chosen = rollout_viewer.choose_step(steps, arguments.step)
    pages = rollout_viewer.write_pages(steps if arguments.all_pages else [chosen])
    text = rollout_viewer.render_text(
        chosen, group=arguments.group, rollout=arguments.rollout
    )
    try:
        print(f"{text}\n\n{len(pages)} page(s): {pages[-1]}", flush=True)
    except BrokenPipeError:  # a pager such as `head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
