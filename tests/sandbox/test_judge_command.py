"""`simex judge` as people call it: files in, verdicts out, stopped and continued."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from simex.core.errors import InfraError
from simex.main import EXIT_INTERRUPTED, EXIT_USER_ERROR, main
from simex.sandbox import judge_batch
from simex.sandbox.verdict_file import stamp_path

ROOT = pathlib.Path(__file__).parents[2]
PROBLEMS = [
    {
        "id": "sum",
        "tests": [
            {"stdin": "1 2", "stdout": "3\n"},
            {"fn": "add", "args": [1, 2.5], "result": 3.5},
            {"stdin": "2 2", "stdout": "4\n"},
        ],
        "limits": {"cpu_secs": 1},
    },
    {"id": "third", "tests": [{"stdin": "", "stdout": "0.33333"}], "float_tol": 1e-4},
]
ADD = "def add(a, b): return a + b\n"
READ = "import sys\nwords = sys.stdin.read().split()\nif words: print(add(*map(int, words)))"
PROGRAMS = [
    ("sum", "right", ADD + READ),
    ("third", "close", "print(1 / 3)"),
    (
        "sum",
        "no function",
        READ.replace("add(*map(int, words))", "sum(map(int, words))"),
    ),
    ("sum", "worse", "print(3"),
    ("third", "far", "print(0.333)"),
]
VERDICTS = [
    ["accepted", "accepted", "accepted"],
    ["accepted"],
    ["accepted", "runtime_error", "accepted"],
    ["compile_error"] * 3,
    ["wrong_output"],
]


@pytest.fixture
def inputs(tmp_path):
    """Writes both files; the words that judge them."""

    def write(problems=PROBLEMS, programs=PROGRAMS) -> list[str]:
        names = ("problem_id", "program_id", "source")
        records = [dict(zip(names, program)) for program in programs]
        for name, rows in (("P", problems), ("S", records)):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(text)
        paths = [str(tmp_path / f"{name}.jsonl") for name in "PSV"]
        words = ["--problems", paths[0], "--programs", paths[1], "--out", paths[2]]
        return ["judge", *words, "--workers", "2"]

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "V.jsonl"


def read(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_program_has_a_line_in_order_with_all_its_fields(inputs, out, capsys):
    assert main(inputs()) == 0
    records = read(out)
    keys = [(r["problem_id"], r["program_id"]) for r in records]
    assert keys == [program[:2] for program in PROGRAMS]
    assert [r["verdicts"] for r in records] == VERDICTS
    assert [r["accepted"] for r in records] == [True, True, False, False, False]
    for record in records:
        assert list(record) == [
            "problem_id", "program_id", "accepted", "verdicts", "backend", "cpu_secs",
            "detail",
        ]  # fmt: skip
        lists = [record[name] for name in ("verdicts", "cpu_secs", "detail")]
        assert len({len(entries) for entries in lists}) == 1
        assert all(0 < secs < 1 for secs in record["cpu_secs"])
    assert records[0]["detail"] == ["", "", ""]
    assert records[2]["detail"][1] == "NameError: name 'add' is not defined"
    assert records[4]["detail"] == ["line 1: printed '0.333', expected '0.33333'"]
    assert "5 programs judged: 2 accepted, 3 not accepted" in capsys.readouterr().out


def test_early_stop_leaves_the_rest_not_run(inputs, out):
    assert main([*inputs(), "--early-stop"]) == 0
    record = read(out)[2]
    assert record["verdicts"] == ["accepted", "runtime_error", "not_run"]
    assert record["cpu_secs"][2] is None and record["detail"][2] == ""


def test_a_second_call_judges_only_what_is_missing(inputs, out, capsys):
    words = inputs()
    assert main(words) == 0
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:2]) + lines[2][:40])  # stopped in a line
    kept = lines[0].replace(b'"cpu_secs": [', b'"cpu_secs": [9, ')
    out.write_bytes(out.read_bytes().replace(lines[0], kept))
    assert main(words) == 0
    assert out.read_bytes().startswith(kept)  # not judged again
    assert [r["verdicts"] for r in read(out)] == VERDICTS
    assert "3 programs judged, 2 before" in capsys.readouterr().out
    assert main(words) == 0
    assert "0 programs judged, 5 before" in capsys.readouterr().out
    assert len(read(out)) == 5


@pytest.mark.parametrize(
    "problems, programs, option, changed",
    [
        (PROBLEMS[::-1], PROGRAMS, [], "problems"),
        (PROBLEMS, PROGRAMS[::-1], [], "programs"),
        (PROBLEMS, PROGRAMS, ["--early-stop"], "early_stop"),
    ],
)
def test_verdicts_of_other_inputs_are_not_continued(
    inputs, out, capsys, problems, programs, option, changed
):
    assert main(inputs()) == 0
    before = out.read_bytes()
    assert main([*inputs(problems, programs), *option]) == EXIT_USER_ERROR
    assert f"judged from something else: {changed} changed" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_a_file_that_is_not_ours_is_let_be(inputs, out, capsys):
    words = inputs()
    out.write_text("my notes\n")
    assert main(words) == EXIT_USER_ERROR
    assert "V.jsonl.stamp.json, which says" in capsys.readouterr().err
    assert out.read_text() == "my notes\n"
    assert main([*words[:-4], "--out", words[2]]) == EXIT_USER_ERROR
    assert "--out must not be one of the inputs" in capsys.readouterr().err


def test_lines_of_other_programs_are_noticed(inputs, out, capsys):
    words = inputs()
    assert main(words) == 0
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(lines[1] + lines[0])
    assert main(words) == EXIT_USER_ERROR
    assert "line 1 must be of program 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "problems, programs, message",
    [
        ([PROBLEMS[0], {"id": "x", "tests": []}], PROGRAMS, "P.jsonl:2: problem 'x'"),
        (PROBLEMS, [*PROGRAMS, ("none", "a", "")], "S.jsonl:6: there is no problem"),
    ],
)
def test_bad_input_writes_nothing_and_runs_nothing(
    inputs, out, capsys, problems, programs, message
):
    assert main(inputs(problems, programs)) == EXIT_USER_ERROR
    assert message in capsys.readouterr().err
    assert not out.exists() and not stamp_path(out).exists()


@pytest.mark.parametrize(
    "option, message",
    [
        (["--workers", "0"], "--workers must be at least 1; got 0"),
        (["--backend", "bwrap"], "must be one of auto, bubblewrap"),
    ],
)
def test_bad_options_write_nothing(inputs, out, capsys, option, message):
    assert main([*inputs(), *option]) == EXIT_USER_ERROR
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_infra_error_is_no_verdict_and_the_summary_says_how_to_judge_it_anew(
    inputs, out, monkeypatch, capsys
):
    really_judge = judge_batch.judge_all

    def judge_all(pool, items, **settings):
        yield from really_judge(pool, [next(items)], **settings)
        for item in items:
            yield InfraError("the fork server ended")

    words = inputs(programs=PROGRAMS[:2])
    with monkeypatch.context() as patch:
        patch.setattr(judge_batch, "judge_all", judge_all)
        assert main(words) == 0
    record = read(out)[1]
    assert record["accepted"] is None and record["verdicts"] == []
    assert record["detail"] == ["infra error: the fork server ended"]
    assert "0 not accepted, 1 without a verdict" in capsys.readouterr().out
    assert main(words) == 0  # such a line stays
    said = capsys.readouterr().out
    assert "0 programs judged, 2 before" in said and "Line 2 is the first" in said
    subprocess.run(said.split("`")[1], shell=True, check=True)
    assert main(words) == 0
    assert [r["verdicts"] for r in read(out)] == VERDICTS[:2]
    said = capsys.readouterr().out
    assert "1 programs judged, 1 before: 1 accepted" in said and "Line" not in said


# Ctrl-C comes when the first line is on disk, and others are being judged.
STOPPED = """
import signal, sys
from simex.main import main
from simex.sandbox.verdict_file import VerdictFile
append = VerdictFile.append
def append_and_stop(self, record):
    append(self, record)
    assert self._path.stat().st_size
    signal.raise_signal(signal.SIGINT)
VerdictFile.append = append_and_stop
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_leaves_a_valid_file_that_the_same_command_finishes(
    inputs, out, tmp_path
):
    slow = (
        "import time\nt = time.process_time()\nwhile time.process_time() < t + 0.1: 0\n"
    )
    programs = [("third", str(n), slow + f"print(1 / 3)  # {n}") for n in range(6)]
    words = inputs(programs=programs)
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    ended = subprocess.run(
        [sys.executable, script, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == EXIT_INTERRUPTED
    assert "the same command continues" in ended.stderr
    assert "Traceback" not in ended.stderr
    first = out.read_bytes()
    assert [r["program_id"] for r in read(out)] == ["0"]
    assert main(words) == 0
    assert out.read_bytes().startswith(first)
    assert [r["program_id"] for r in read(out)] == [str(n) for n in range(6)]
    assert all(r["accepted"] for r in read(out))
