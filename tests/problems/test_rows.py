"""Files as they should be, and files that are not what their name says."""

import gzip
import json

import pytest

from simex.core.errors import UserError
from simex.problems.rows import BrokenRow, Row, read_rows

RECORDS = [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
LINES = "".join(json.dumps(r) + "\n" for r in RECORDS).encode()


def records_of(path) -> list[dict]:
    rows = list(read_rows(path))
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.record for row in rows]


def test_every_form_of_a_file_gives_the_same_records(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.json").write_text(json.dumps(RECORDS))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(LINES))
    for name in ("a.jsonl", "b.json", "c.jsonl.gz"):
        assert records_of(tmp_path / name) == RECORDS
    # A folder is all of its files, in the order of their names.
    assert records_of(tmp_path) == RECORDS * 3


def test_parquet_gives_the_same_records_row_by_row(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `data`")
    table = pytest.importorskip("pyarrow").Table.from_pylist(RECORDS)
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    assert records_of(path) == RECORDS
    assert [row.place for row in read_rows(path)] == [f"{path} row 0", f"{path} row 1"]
    path.write_bytes(path.read_bytes()[:-20])
    (broken,) = read_rows(path)
    assert isinstance(broken, BrokenRow)
    assert broken.place == f"{path} row 0"
    assert "cannot be read" in broken.reason


def test_a_broken_line_is_reported_and_the_lines_around_it_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": 1}\n{"id": \n[3]\n\xff\xfe\n\n{"id": 6}\n')
    rows = list(read_rows(path))
    assert [row.place for row in rows] == [f"{path}:{n}" for n in (1, 2, 3, 4, 6)]
    assert [type(row) for row in rows] == [Row, BrokenRow, BrokenRow, BrokenRow, Row]
    reasons = [row.reason for row in rows[1:4]]
    assert "is not JSON" in reasons[0]
    assert reasons[1:] == ["is not a JSON object", "is not UTF-8"]


def test_a_file_that_is_not_what_its_name_says_is_one_broken_row(tmp_path):
    contents = {
        "zipped.jsonl": gzip.compress(LINES),
        "plain.jsonl.gz": LINES,
        "text.parquet": LINES,
    }
    found = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (row,) = read_rows(tmp_path / name)
        assert row.place == str(tmp_path / name)
        found[name] = row.reason.partition(";")[0]
    assert found == {
        "zipped.jsonl": "the name says text, the content is gzip",
        "plain.jsonl.gz": "the name says gzip, the content is text",
        "text.parquet": "the name says parquet, the content is text",
    }


def test_a_gzip_file_that_breaks_off_gives_its_rows_and_then_the_break(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    lines = b"".join(b'{"id": "%d"}\n' % n for n in range(20_000))
    path.write_bytes(gzip.compress(lines)[:-2000])
    *rows, last = read_rows(path)
    assert rows[0].record == {"id": "0"}
    assert isinstance(last, BrokenRow)
    assert "breaks off" in last.reason
    assert last.place == f"{path}:{len(rows) + 1}"


def test_a_missing_file_and_an_unknown_ending_are_refused(tmp_path):
    with pytest.raises(UserError, match="it does not"):
        list(read_rows(tmp_path / "gone.jsonl"))
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(UserError, match="the name must end in .jsonl"):
        list(read_rows(tmp_path / "a.csv"))
    (tmp_path / "a.riegeli").write_text("")
    with pytest.raises(UserError, match="published as parquet"):
        list(read_rows(tmp_path / "a.riegeli"))
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="it holds none"):
        list(read_rows(tmp_path / "b"))
