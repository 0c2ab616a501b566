"""Files are whole or absent; records name the line that is wrong."""

import errno
import os

import pytest

from simex.core.errors import UserError
from simex.core.files import (
    read_jsonl,
    write_atomically,
    write_bytes_atomically,
    write_jsonl,
)


def test_what_was_written_is_read_back(tmp_path):
    records = [{"a": 1, "text": "naïve\n"}, {"b": [1, 2]}]
    write_jsonl(tmp_path / "new" / "x.jsonl", records)
    assert list(read_jsonl(tmp_path / "new" / "x.jsonl")) == records


def test_a_failure_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_atomically(path) as file:
        file.write("new")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_nothing_appears_under_the_name_before_the_end(tmp_path):
    with write_atomically(tmp_path / "x.txt") as file:
        file.write("new")
        assert not (tmp_path / "x.txt").exists()
    assert (tmp_path / "x.txt").read_text() == "new"


def test_bytes_are_written_as_they_are(tmp_path):
    write_bytes_atomically(tmp_path / "x.bin", b"\r\n\x00\xff")
    assert (tmp_path / "x.bin").read_bytes() == b"\r\n\x00\xff"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_a_sentence(tmp_path):
    with (
        pytest.raises(UserError, match="The disk is full while writing .*x.txt"),
        write_atomically(tmp_path / "x.txt") as file,
        open("/dev/full", "w") as full,
    ):
        file.write("new")
        full.write("x")
    assert os.listdir(tmp_path) == []


def test_another_fault_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(OSError) as caught, write_atomically(tmp_path / "x.txt"):
        raise OSError(errno.EIO, "bad sector")
    assert not isinstance(caught.value, UserError)


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "x.jsonl", [{"loss": float("nan")}])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("line", ["{'a': 1}", "[1, 2]"])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n\n' + line + "\n")
    with pytest.raises(UserError, match=r"x.jsonl:3: each line must be a JSON object"):
        list(read_jsonl(path))


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="must exist; it does not. Run the stage"):
        list(read_jsonl(tmp_path / "x.jsonl"))
