"""The file that `simex judge` writes: one line a program, to be continued.

Lines are appended to the file itself as they come, in the order of the programs, so
that it is valid at any moment; whoever stops in the middle of a line leaves a torn one,
which the next call cuts off. Beside it, in `<name>.stamp.json`, stands what it was
judged from. A file is continued only if its stamp says that nothing has changed.
"""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from simex.core.errors import UserError
from simex.core.files import disk_full_error, write_atomically
from simex.core.strict_jsonl import read_strict_jsonl

Stamp = Mapping[str, Any]


class VerdictFile:
    """Made by `open_verdict_file`. `num_done` lines stood there when it was opened."""

    def __init__(self, path: pathlib.Path, file: IO[bytes], *, num_done: int):
        self.num_done = num_done
        self._path, self._file = path, file

    def append(self, record: Mapping[str, Any]) -> None:
        """Raises UserError where the disk is full."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._file.write(line.encode("utf-8", "replace"))
            self._file.flush()
        except OSError as error:
            raise disk_full_error(error, self._path) or error from error


@contextlib.contextmanager
def open_verdict_file(
    path: str | os.PathLike[str], stamp: Stamp
) -> Iterator[VerdictFile]:
    """Opens a new file, or one that an earlier call with an equal stamp left.

    Raises:
      UserError: it holds the verdicts of other inputs or settings, or something else
        altogether, or somebody is writing to it. Nothing is changed then.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path} must be a file, or nothing yet. Choose another --out.")
    check_stamp(path, stamp)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=1 << 16) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{path} is being written by another process. Wait for it, or choose "
                "another --out."
            ) from None
        num_done = _keep_whole_lines(path)
        if not num_done:
            with write_atomically(stamp_path(path)) as stamp_file:
                stamp_file.write(json.dumps(stamp, indent=1) + "\n")
        yield VerdictFile(path, file, num_done=num_done)
        file.flush()
        os.fsync(file.fileno())


def stamp_path(path: pathlib.Path) -> pathlib.Path:
    """Where the stamp of a file of verdicts stands."""
    return path.with_name(path.name + ".stamp.json")


def check_stamp(path: pathlib.Path, stamp: Stamp) -> None:
    """Raises UserError if `path` holds lines that were not judged from `stamp`."""
    if not path.exists() or not path.stat().st_size:
        return
    beside = stamp_path(path)
    advice = "Delete it to judge anew, or choose another --out."
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} exists, and {beside.name}, which says what it was judged from, is "
            f"not beside it. {advice}"
        ) from None
    except ValueError:
        raise UserError(f"{beside} is not a stamp of simex judge. {advice}") from None
    changed = [
        k for k in stamp if not isinstance(found, dict) or found.get(k) != stamp[k]
    ]
    if changed:
        raise UserError(
            f"{path} was judged from something else: {', '.join(changed)} changed "
            f"since. {advice}"
        )


def _keep_whole_lines(path: pathlib.Path) -> int:
    """Cuts a torn last line off; how many whole lines there are."""
    whole, number = 0, 0
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                whole, number = whole + len(line), number + 1
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    return number


def read_keys(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(problem id, program id) of each line; raises UserError for another kind of line."""
    for place, record in read_strict_jsonl(path):
        try:
            yield record["problem_id"], record["program_id"]
        except KeyError as error:
            raise UserError(f"{place}: the key {error} is missing.") from None


def find_unjudged(path: pathlib.Path) -> int | None:
    """The number of the first line without a verdict, from 1; None if there is none."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if b'"accepted": null' in line:  # inside a text its quotes are escaped
                return number
    return None
