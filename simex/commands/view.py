"""`simex view`: look at a dataset or at the rollouts of a run.

What the path holds decides. A dataset: program, trace with its changes, explanation
with its true and false statements; in the terminal, or with --html as one page. A run:
the rollouts of a train step, in the terminal and as pages beside their records. Pages
open from disk and need no network.
"""

import argparse
import pathlib

from simex.commands.pager import may_be_cut_short
from simex.core.errors import UserError
from simex.core.files import write_atomically

HELP = "look at a dataset, or at the rollouts of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex view`."""
    parser.add_argument(
        "path", type=pathlib.Path, help="the folder of a dataset or of a run"
    )
    data = parser.add_argument_group("a dataset")
    data.add_argument("--split", default="train", help="(default: train)")
    data.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first item"
    )
    data.add_argument(
        "--count", type=int, default=3, metavar="N", help="how many items (default: 3)"
    )
    data.add_argument(
        "--html", type=pathlib.Path, metavar="FILE", help="write a page instead"
    )
    run = parser.add_argument_group("a run")
    run.add_argument("--stage", default="", help="an RL stage (default: every one)")
    run.add_argument("--step", type=int, help="a train step (default: the last)")
    run.add_argument("--group", type=int, help="show all of one group of the step")
    run.add_argument("--rollout", type=int, help="show one rollout of --group")
    run.add_argument(
        "--all-pages",
        action="store_true",
        help="write the page of every recorded step, not of one",
    )


def command(arguments: argparse.Namespace) -> int:
    """Shows what `arguments.path` holds; the exit code."""
    from simex.report.rollout_viewer import has_rollouts

    path = arguments.path
    if not path.exists():
        raise UserError(f"{path} must exist; it does not.")
    if _holds_dataset(path):
        return _view_dataset(arguments)
    if has_rollouts(path):
        return _view_rollouts(arguments)
    raise UserError(
        f"{path} must be a folder that holds a dataset "
        "(simex_examples/<version>/dataset_info.json) or a run with recorded rollouts; "
        "it is neither. Name a variant of build_dataset, or a run that reached train_rl."
    )


def _holds_dataset(path: pathlib.Path) -> bool:
    return any(path.glob("simex_examples/*/dataset_info.json"))


def _view_dataset(arguments: argparse.Namespace) -> int:
    from simex.report.dataset_view import render_dataset

    if arguments.count < 1 or arguments.first < 0:
        raise UserError("--count must be at least 1 and --first at least 0.")
    page = render_dataset(
        arguments.path,
        split=arguments.split,
        first=arguments.first,
        count=arguments.count,
        is_html=arguments.html is not None,
    )
    if arguments.html is None:
        _print(page)
        return 0
    with write_atomically(arguments.html) as file:
        file.write(page)
    print(f"wrote {arguments.html}")
    return 0


def _view_rollouts(arguments: argparse.Namespace) -> int:
    from simex.report import rollout_viewer  # imports jinja2

    if arguments.rollout is not None and arguments.group is None:
        raise UserError("--rollout names one of a group; add --group.")
    steps = rollout_viewer.find_steps(arguments.path, stage=arguments.stage)
    chosen = rollout_viewer.choose_step(steps, arguments.step)
    pages = rollout_viewer.write_pages(steps if arguments.all_pages else [chosen])
    text = rollout_viewer.render_text(
        chosen, group=arguments.group, rollout=arguments.rollout
    )
    _print(f"{text}\n\n{len(pages)} page(s): {pages[-1]}")
    return 0


def _print(text: str) -> None:
    with may_be_cut_short():
        print(text)
