"""JSON-lines files that a stopped job continues instead of beginning again."""

import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from simex.core.files import disk_full_error

_LINES_BETWEEN_FLUSHES = 64


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
        with open(partial, "a", encoding="utf-8", newline="\n") as file:
            for index, record in enumerate(records_from(num_done)):
                line = json.dumps(record, ensure_ascii=False, allow_nan=False)
                file.write(line + "\n")
                if index % _LINES_BETWEEN_FLUSHES == 0:
                    file.flush()
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise disk_full_error(error, path) or error from error


def _keep_whole_lines(partial: pathlib.Path) -> int:
    """Cuts a torn last line off `partial`; how many whole lines it holds."""
    if not partial.exists():
        return 0
    content = partial.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(partial, len(whole))
    return whole.count(b"\n")
