"""`simex trace`: what it prints, its remarks, its exit codes."""

import json
import subprocess
import sys

import pytest

from simex.main import main

PROGRAM = "def f(a, k=1):\n    return [v + k for v in a]\nx = 2\nprint(x)\n"


@pytest.fixture
def run(tmp_path, capfd):
    def run_one(source: bytes | str, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "program.py"
        path.write_bytes(source.encode() if isinstance(source, str) else source)
        code = main(["trace", str(path), *options])
        out, err = capfd.readouterr()
        return code, out, err

    return run_one


def test_events_are_json_lines(run):
    code, out, err = run(PROGRAM)
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [(e["event"], e["line"]) for e in events] == [
        ("line", 1),
        ("line", 3),
        ("line", 4),
        ("stdout", 4),
        ("return", 4),
    ]
    assert events[2]["changed"] == {"x": "2"}
    assert events[3]["value"] == "2\n"


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("t = 0\nfor i in range(2000):\n    t += i\n")
    words = [sys.executable, "-m", "simex.main", "trace", str(path)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["line"] == 1
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_mark_that_windows_puts_before_a_text_is_no_part_of_the_program(run):
    code, out, _ = run(b"\xef\xbb\xbfx = 1\n")
    assert code == 0 and json.loads(out.splitlines()[1])["changed"] == {"x": "1"}


def test_a_call_is_traced_and_its_result_printed(run):
    code, out, _ = run(PROGRAM, "--call", "f([1, -2], k=3)")
    events = [json.loads(line) for line in out.splitlines()]
    (returned,) = [e for e in events if e["event"] == "return" and e["depth"] == 1]
    assert (code, returned["value"]) == (0, "[4, 1]")
    assert events[-2]["value"] == "[4, 1]\n"


def test_stdin_comes_from_a_file_and_nlex_is_words(run, tmp_path):
    (tmp_path / "in").write_text("5\n")
    options = ["--stdin", str(tmp_path / "in"), "--format", "nlex"]
    code, out, _ = run("n = int(input())\nm = n + 1\n", *options)
    assert (code, out) == (0, "n=5\n5 + 1 m=6\n")


def test_an_error_of_the_program_is_shown_as_what_happened(run):
    code, out, err = run("x = 0\n1 / x\n")
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["value"]) == (
        "exception",
        "ZeroDivisionError: division by zero",
    )
    assert code == 1
    assert "the program ended in runtime_error" in err
    assert "line 2" in err


def test_a_cut_trace_says_so(run):
    code, out, err = run("for i in range(99):\n    pass\n", "--max-events", "10")
    assert code == 0 and len(out.splitlines()) == 10
    assert "truncated after 10 events" in err


@pytest.mark.parametrize(
    ("source", "options", "complaint"),
    [
        ("x = 1\nif:\n", [], "program.py:2: invalid syntax"),
        ("def f(): pass\n@f\n", ["--call", "f()"], "must compile"),
        (b"x = 1\ny = '\xff'\n", [], "program.py:2 has the byte 0xff"),
        (PROGRAM, ["--call", "f(open('x'))"], "literal arguments"),
        (PROGRAM, ["--call", "f([1]"], "literal arguments"),
        (PROGRAM, ["--call", "x.f()"], "literal arguments"),
        (PROGRAM, ["--call", "f(**{'a': 1})"], "keyword arguments"),
        (PROGRAM, ["--stdin", "/nowhere/in"], "/nowhere/in: No such file"),
        (PROGRAM, ["--max-events", "0"], "--max-events must be at least 1"),
        (PROGRAM, ["--format", "nlex", "--style", "loud"], "compact, prose"),
        (PROGRAM, ["--style", "loud"], "compact, prose"),
        (PROGRAM, ["--cpu-secs", "3e6"], "--cpu-secs must be at most 86400"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run, source, options, complaint):
    code, out, err = run(source, *options)
    assert (code, out) == (2, "")
    assert complaint in err


def test_a_missing_program_is_said(tmp_path, capsys):
    assert main(["trace", str(tmp_path / "none.py")]) == 2
    assert "none.py: No such file" in capsys.readouterr().err


def test_a_program_that_leaves_without_its_trace_is_said(run):
    code, out, err = run("import os\nos._exit(0)\n")
    assert (code, out) == (1, "")
    assert "there is no trace" in err
