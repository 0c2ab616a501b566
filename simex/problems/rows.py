"""The rows of a data file, each with its place; what is broken has a reason.

Read by what the bytes are, held against what the name says: a gzip file that is named
.jsonl, a table that ends too early and a line that is no JSON are all reported, with
file and line or row, and the rows before and after them are read.
"""

import dataclasses
import gzip
import io
import json
import pathlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from simex.core.errors import UserError

_GZIP, _PARQUET, _ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PARQUET_BATCH_ROWS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One record as the file holds it."""

    place: str  # "file.jsonl:12", or "file.parquet row 11"
    record: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrokenRow:
    """A place where no record can be read, and why."""

    place: str
    reason: str


class BadRecord(ValueError):
    """A row can be read but is no record of the source; the message is the reason."""


def read_rows(path: pathlib.Path) -> Iterator[Row | BrokenRow]:
    """The rows of a .jsonl, .json, .jsonl.gz, .json.gz or .parquet file, in order.

    A folder is read file by file, in the order of the names; other files in it are
    passed over. A .json file holds a list of objects, or one object a line.

    Raises:
        UserError: there is no such file, or its name is none of these.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and _kind_of(p))
        if not files:
            raise UserError(
                f"{path} must hold .jsonl, .json, .jsonl.gz or .parquet files; it "
                "holds none. Name the folder or file that does."
            )
        for file in files:
            yield from read_rows(file)
        return
    kind = _kind_of(path)
    if not path.exists():
        raise UserError(f"{path} must exist; it does not. Name the file to be read.")
    if kind is None:
        raise UserError(
            f"{path}: the name must end in .jsonl, .json, .jsonl.gz, .json.gz or "
            f".parquet{_advice(path)}"
        )
    yield from _rows_of_file(path, kind)


def _kind_of(path: pathlib.Path) -> str | None:
    if path.suffix == ".parquet":
        return "parquet"
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        return "gzip" if path.suffix == ".gz" else "text"
    return None


def _advice(path: pathlib.Path) -> str:
    if "riegeli" in path.name or "tfrecord" in path.name:
        return (
            ". Riegeli and TFRecord files need their own readers; the same records are "
            "published as parquet, use that form."
        )
    return ". Rename the file if it is one of these."


def _rows_of_file(path: pathlib.Path, kind: str) -> Iterator[Row | BrokenRow]:
    with open(path, "rb") as file:
        head = file.read(4)
    real = _real_kind(head)
    if head and real != kind:
        reason = f"the name says {kind}, the content is {real}; rename or mend it"
        yield BrokenRow(place=str(path), reason=reason)
    elif kind == "parquet":
        yield from _parquet_rows(path)
    else:
        with open(path, "rb") as file:
            yield from _json_rows(
                path, gzip.GzipFile(fileobj=file) if kind == "gzip" else file
            )


def _real_kind(head: bytes) -> str:
    known = {_GZIP: "gzip", _PARQUET: "parquet", _ZIP: "zip", _ZSTD: "zstd"}
    return next((name for m, name in known.items() if head.startswith(m)), "text")


def _json_rows(
    path: pathlib.Path, stream: io.BufferedReader | gzip.GzipFile
) -> Iterator[Row | BrokenRow]:
    """One object a line; a text that begins with "[" is one list of objects."""
    number = 0
    try:
        if stream.peek(1)[:1] == b"[":
            yield from _list_rows(path, stream.read())
            return
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _parse_line(line, f"{path}:{number}")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = f"the gzip stream breaks off: {error}"
        yield BrokenRow(place=f"{path}:{number + 1}", reason=reason)


def _parse_line(line: bytes, place: str) -> Row | BrokenRow:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return BrokenRow(place=place, reason="is not UTF-8")
    except (ValueError, RecursionError) as error:
        return BrokenRow(place=place, reason=f"is not JSON: {error}")
    if not isinstance(record, dict):
        return BrokenRow(place=place, reason="is not a JSON object")
    return Row(place=place, record=record)


def _list_rows(path: pathlib.Path, content: bytes) -> Iterator[Row | BrokenRow]:
    try:
        records = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        yield BrokenRow(place=str(path), reason=f"is not a JSON list: {error}")
        return
    for index, record in enumerate(records):
        place = f"{path} row {index}"
        if isinstance(record, dict):
            yield Row(place=place, record=record)
        else:
            yield BrokenRow(place=place, reason="is not a JSON object")


def _parquet_rows(path: pathlib.Path) -> Iterator[Row | BrokenRow]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path}: reading parquet needs pyarrow, which is not installed. Install "
            "simex with the extra `data`, or convert the file to .jsonl."
        ) from None
    index = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=_PARQUET_BATCH_ROWS):
                for record in batch.to_pylist():
                    yield Row(place=f"{path} row {index}", record=record)
                    index += 1
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        yield BrokenRow(place=f"{path} row {index}", reason=f"cannot be read: {first}")


def text_of(record: Mapping[str, Any], *names: str) -> str:
    """The text under the first of the names that holds one.

    Raises:
        BadRecord: none of them does.
    """
    for name in names:
        if isinstance(record.get(name), str):
            return record[name]
    raise BadRecord(f"no text under {' or '.join(names)}")


def texts_of(value: Any, what: str) -> list[str]:
    """`value` as the list of texts that it must be; None is an empty one.

    Raises:
        BadRecord: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadRecord(f"{what} is not a list of texts")
    return value


def parse_json(text: Any, what: str) -> Any:
    """What a field that holds JSON as a text means; other values are left alone.

    Raises:
        BadRecord: the text is not JSON.
    """
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"{what} is not JSON: {error}") from None
