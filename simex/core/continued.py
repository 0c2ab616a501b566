"""JSON-lines files that a stopped job continues instead of beginning again."""

import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from simex.core.files import disk_full_error
from simex.core.progress import progress

T = TypeVar("T")


def continue_jsonl(
    path: str | os.PathLike[str],
    records_from: Callable[[int], Iterable[Mapping[str, Any]]],
) -> None:
    """Writes the records of a deterministic sequence, from where an earlier call ended.

    Lines go to `<path>.partial`, which takes the name `path` when all are written. A
    later call keeps the whole lines of that file, drops a torn last one and asks
    `records_from(n)` for the records after the first n. A finished file is left alone.

    Raises:
      UserError: the disk is full.
    """
    path = pathlib.Path(path)
    if path.exists():
        return
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    num_done = _keep_whole_lines(partial)
    try:
        # Line by line: a kill loses nothing that was computed.
        with open(partial, "a", encoding="utf-8", newline="\n", buffering=1) as file:
            for record in records_from(num_done):
                line = json.dumps(record, ensure_ascii=False, allow_nan=False)
                file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise disk_full_error(error, path) or error from error


def continue_blocks(
    path: str | os.PathLike[str],
    items: Sequence[T],
    make_records: Callable[[int, Sequence[T]], Iterable[Mapping[str, Any]]],
    *,
    block: int,
    label: str,
    per_item: int = 1,
) -> None:
    """Writes `per_item` records for each item as `continue_jsonl` does, with progress.

    Items are handed out in blocks that begin at the same places whoever continues, so
    that seeds named by a block's place give the same records again.

    Args:
      path: the file.
      items: what the records are about.
      make_records: from the place of a block's first item, and its items, to the
        block's records in order; a function of its arguments.
      block: how many items at a time; an interruption may cost as many.
      label: names the work in progress lines.
      per_item: how many records an item has.
    """

    def records_from(start: int) -> Iterator[Mapping[str, Any]]:
        first = start // per_item // block * block
        skipped = start - first * per_item
        places = range(first, len(items), block)
        for place in progress(places, label=label, unit="block"):
            records = list(make_records(place, items[place : place + block]))
            yield from records[skipped:]
            skipped = 0

    continue_jsonl(path, records_from)


def _keep_whole_lines(partial: pathlib.Path) -> int:
    """Cuts a torn last line off `partial`; how many whole lines it holds."""
    if not partial.exists():
        return 0
    content = partial.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(partial, len(whole))
    return whole.count(b"\n")
