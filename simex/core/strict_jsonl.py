"""JSON-lines files that people wrote: read strictly, with the place of each fault."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from simex.core.errors import UserError

_MAX_SHOWN_CHARS = 80


def read_strict_jsonl(
    path: str | os.PathLike[str],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, object) for each line; place is "file:line", for messages.

    Lines of white space are passed over. A key that comes twice in one object, NaN and
    infinities are refused, because nobody means them.

    Raises:
      UserError: the file cannot be read, or a line is not one JSON object in UTF-8.
    """
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                place = f"{os.fspath(path)}:{number}"
                yield place, _parse_line(line, place)


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the bytes of a file, in hexadecimal. Raises UserError."""
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: str | os.PathLike[str]) -> Any:
    # A pipe can be read only once, and every reader here may come again.
    if not pathlib.Path(path).is_file():
        came = "something else" if os.path.exists(path) else "nothing"
        raise UserError(f"{os.fspath(path)} must be a file; there is {came}.")
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"{os.fspath(path)} must be readable: {error}.") from None


def _parse_line(line: bytes, place: str) -> dict[str, Any]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: the file must be UTF-8; byte {error.start + 1} of the line is "
            f"0x{line[error.start]:02x}. Save it as UTF-8."
        ) from None
    try:
        record = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_make_object
        )
    except RecursionError:
        raise UserError(f"{place}: the JSON nests too deeply.") from None
    except ValueError as error:
        shown = text.strip()[:_MAX_SHOWN_CHARS]
        raise UserError(
            f"{place}: each line must be one JSON object; got {shown!r} ({error})."
        ) from None
    if not isinstance(record, dict):
        shown = text.strip()[:_MAX_SHOWN_CHARS]
        raise UserError(f"{place}: each line must be one JSON object; got {shown!r}.")
    return record


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return made
