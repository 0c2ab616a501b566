"""`simex view`: look at what a path holds; in the terminal or as one page of HTML."""

import argparse
import pathlib
from collections.abc import Callable

from simex.core.errors import UserError
from simex.core.files import write_atomically

HELP = "look at a dataset: program, trace, explanation with its true and false parts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words that may follow `simex view`."""
    parser.add_argument("path", type=pathlib.Path, help="a dataset")
    parser.add_argument(
        "--split", default="train", help="of a dataset (default: train)"
    )
    parser.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first item"
    )
    parser.add_argument(
        "--count", type=int, default=3, metavar="N", help="how many items (default: 3)"
    )
    parser.add_argument(
        "--html", type=pathlib.Path, metavar="FILE", help="write a page instead"
    )


def command(arguments: argparse.Namespace) -> int:
    """Shows what `arguments.path` holds; the exit code."""
    if not arguments.path.exists():
        raise UserError(f"{arguments.path} must exist; it does not.")
    if arguments.count < 1 or arguments.first < 0:
        raise UserError("--count must be at least 1 and --first at least 0.")
    for holds, view in VIEWS:
        if holds(arguments.path):
            page = view(arguments)
            if arguments.html is None:
                print(page)
            else:
                with write_atomically(arguments.html) as file:
                    file.write(page)
                print(f"wrote {arguments.html}")
            return 0
    raise UserError(
        f"{arguments.path} must be a folder that holds a dataset "
        "(simex_examples/<version>/dataset_info.json); it is none. Name the folder of "
        "a build_dataset variant or of explain_programs."
    )


def _holds_dataset(path: pathlib.Path) -> bool:
    return any(path.glob("simex_examples/*/dataset_info.json"))


def _view_dataset(arguments: argparse.Namespace) -> str:
    from simex.report.dataset_view import render_dataset

    return render_dataset(
        arguments.path,
        split=arguments.split,
        first=arguments.first,
        count=arguments.count,
        is_html=arguments.html is not None,
    )


# What a path may hold, in the order of asking, and what shows it as text or HTML.
VIEWS: tuple[
    tuple[Callable[[pathlib.Path], bool], Callable[[argparse.Namespace], str]], ...
] = ((_holds_dataset, _view_dataset),)
