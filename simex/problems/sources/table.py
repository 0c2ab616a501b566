"""All sources of problems: one line each."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simex.core.names import unknown_name
from simex.problems.program import SourceItem
from simex.problems.records import check_item
from simex.problems.rows import BadRecord, BrokenRow, Row, read_rows
from simex.problems.sources.apps import parse_apps, parse_taco
from simex.problems.sources.codecontests import parse_codecontests, parse_dmc
from simex.problems.sources.contest_packs import (
    parse_contest_problem,
    parse_contest_run,
)
from simex.problems.sources.cruxeval import parse_cruxeval
from simex.problems.sources.function_calls import (
    parse_function_call,
    parse_function_task,
)
from simex.problems.sources.humaneval import parse_humaneval
from simex.problems.sources.kattis import parse_package, read_packages
from simex.problems.sources.livecodebench import parse_livecodebench
from simex.problems.sources.mbpp import parse_mbpp
from simex.problems.sources.own_jsonl import parse_own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """How the files of a source are read.

    `parse` raises BadRecord for a row that is none of its records.
    """

    parse: Callable[[Mapping[str, Any]], SourceItem]
    read_rows: Callable[[pathlib.Path], Iterator[Row | BrokenRow]] = read_rows
    # Nothing of it may be trained on; a number needs every problem, on all its tests.
    is_evaluation: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadItem:
    """An item and its place in the files."""

    place: str
    item: SourceItem


SOURCES: dict[str, Source] = {
    "apps": Source(parse=parse_apps),
    "codecontests": Source(parse=parse_codecontests),
    "contest_runs": Source(parse=parse_contest_run),
    "contests": Source(parse=parse_contest_problem),
    "cruxeval": Source(parse=parse_cruxeval, is_evaluation=True),
    "dmc": Source(parse=parse_dmc, is_evaluation=True),
    "function_calls": Source(parse=parse_function_call),
    "function_tasks": Source(parse=parse_function_task),
    "humaneval": Source(parse=parse_humaneval, is_evaluation=True),
    "jsonl": Source(parse=parse_own),
    "kattis": Source(parse=parse_package, read_rows=read_packages),
    "livecodebench": Source(parse=parse_livecodebench, is_evaluation=True),
    # Its train split may be trained on; the filter `split` keeps to it.
    "mbpp": Source(parse=parse_mbpp),
    "taco": Source(parse=parse_taco),
}


def get_source(name: str) -> Source:
    """Raises UserError for a name that is not in SOURCES."""
    if name not in SOURCES:
        raise unknown_name("source of problems", name, SOURCES)
    return SOURCES[name]


def read_items(name: str, path: pathlib.Path) -> Iterator[ReadItem | BrokenRow]:
    """Every record of a source in order: the item, or its place and what is wrong.

    Example: ``read_items("humaneval", pathlib.Path("HumanEval.jsonl.gz"))``.

    Raises:
        UserError: the source is unknown, or there is nothing to read at `path`.
    """
    source = get_source(name)
    for row in source.read_rows(path):
        if isinstance(row, BrokenRow):
            yield row
            continue
        try:
            item = source.parse(row.record)
            check_item(item)
            yield ReadItem(place=row.place, item=item)
        except BadRecord as error:
            yield BrokenRow(place=row.place, reason=str(error))
