"""Files that are either whole or absent, and JSON-lines records on top of them."""

import contextlib
import errno
import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from simex.core.errors import UserError

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_counter = itertools.count()


def disk_full_error(error: OSError, path: object = None) -> UserError | None:
    """The sentence for a full disk or quota; None for any other OSError."""
    if error.errno not in _DISK_FULL:
        return None
    where = path or error.filename
    # Left out where a library raised the error without naming its file.
    what = f" while writing {where}" if where else ""
    return UserError(
        f"The disk is full{what} ({os.strerror(error.errno or 0)}). Nothing that was "
        "finished is lost: make room and run the same command again; it continues."
    )


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """Opens a text file that appears under `path` whole or not at all.

    The text goes to a temporary name in the same folder (made if missing) and is
    renamed after fsync. If the block raises, `path` keeps what it held before.

    Raises:
      UserError: the disk is full.
    """
    with (
        _replacing(pathlib.Path(path)) as temporary,
        open(temporary, "x", encoding="utf-8", newline="\n") as file,
    ):
        yield file
        _flush_to_disk(file)


def write_bytes_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes `content` to `path` as `write_atomically` does for text."""
    with _replacing(pathlib.Path(path)) as temporary, open(temporary, "xb") as file:
        file.write(content)
        _flush_to_disk(file)


def write_jsonl(
    path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]
) -> None:
    """Writes one JSON object a line, atomically; NaN and infinities are refused."""
    with write_atomically(path) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False))
            file.write("\n")


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yields the JSON object of each line; empty lines are passed over.

    Raises:
      UserError: the file is missing, or a line is not a JSON object (names the line).
    """
    if not os.path.exists(path):
        raise UserError(
            f"{path} must exist; it does not. Run the stage that writes it first."
        )
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parse_record(line, where=f"{path}:{number}")


def _parse_record(line: str, where: str) -> dict[str, Any]:
    shown = line.strip()[:80]
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: each line must be a JSON object; got {shown!r} ({error.msg}). "
            "Mend the line, or delete the file and run its stage again."
        ) from None
    if not isinstance(record, dict):
        raise UserError(
            f"{where}: each line must be a JSON object; got {shown!r}. "
            "Mend the line, or delete the file and run its stage again."
        )
    return record


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    # The name holds process and count: two writers never share a temporary file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise disk_full_error(error, path) or error
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: pathlib.Path) -> None:
    # Without it a power cut may undo the rename. Some file systems cannot do it.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
