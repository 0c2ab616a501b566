"""Functions of a small folder, really run in the sandbox."""

import json
import pathlib

import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.jobs.harvest_functions import harvest_functions
from simex.jobs.sandbox import SandboxConfig
from simex.sandbox.interpreter import find_interpreter

COUNTING = '''\
def double(n):
    """
    >>> double(21)
    42
    """
    return n + n

def first(items):
    return items[0] if items else "none"

def fails(n):
    n = n + 1
    raise ValueError(n)

def runs_on(n):
    while True:
        n = n + 1
    return n
'''
TEXT = """\
_NUM_CALLS = iter(range(100))

def shout(s):
    return s.upper() + "!"

def changes(s):
    return s.upper() * (1 + next(_NUM_CALLS))
"""
SANDBOX = SandboxConfig(num_workers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "counting.py").write_text(COUNTING)
    (folder / "text.py").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def workdir(folder, tmp_path_factory) -> pathlib.Path:
    workdir = tmp_path_factory.mktemp("run")
    harvest_functions(workdir, str(folder), license="MIT", sandbox=SANDBOX)
    return workdir / "harvest_functions"


def test_every_kept_call_has_a_program_and_what_it_printed(workdir):
    records = list(read_jsonl(workdir / "functions.jsonl"))
    assert records[0] == {
        "id": "counting:double#0",
        "group": "counting.py",
        "entry": "double",
        "module": "counting",
        "license": "MIT",
        "origin": "doctest",
        "call": "double(21)",
        "program": "def double(n):\n    return n + n\nprint(repr(double(21)))\n",
        "stdout": "42\n",
        "split": records[0]["split"],
        "num_chars": 56,  # 15 + 17 + 24, line by line with its end
        "num_lines": 3,
    }
    assert [r["entry"] for r in records[:3]] == ["double"] * 3
    by_entry = {entry: 0 for entry in ("double", "first", "shout")}
    for record in records:
        if record["entry"] in by_entry:
            by_entry[record["entry"]] += 1
    assert by_entry == {"double": 3, "first": 3, "shout": 3}


def test_calls_that_give_no_steady_value_are_dropped_and_counted(workdir):
    records = list(read_jsonl(workdir / "functions.jsonl"))
    entries = {record["entry"] for record in records}
    report = json.loads((workdir / "report.json").read_text())
    assert entries == {"double", "first", "shout", "changes"}
    # `changes` counts its calls: what the second call gave in the probe, no first
    # call gives. Its first call is kept.
    assert sum(record["entry"] == "changes" for record in records) == 1
    assert report["cases_dropped"] == {"prints something else when it runs alone": 2}
    assert report["functions_without_a_case"] == 2  # fails, runs_on
    assert report["calls_tried"]["raises an error"] >= 5
    assert report["calls_tried"]["is too slow"] == 3  # then the probe gives up
    assert report["num_functions"] == 4
    assert report["num_cases"] == len(records) == 10
    assert report["num_functions_up_to_600_chars"] == 4


def test_functions_of_one_file_are_on_one_side_of_the_split(workdir):
    sides = {}
    for record in read_jsonl(workdir / "functions.jsonl"):
        sides.setdefault(record["group"], set()).add(record["split"])
    assert set(sides) == {"counting.py", "text.py"}
    assert all(len(side) == 1 for side in sides.values())


def test_a_job_that_was_stopped_goes_on_and_ends_with_the_same_file(
    workdir, folder, tmp_path
):
    begun = tmp_path / "harvest_functions"
    begun.mkdir()
    lines = (workdir / "probed.jsonl").read_text().splitlines(keepends=True)
    (begun / "probed.jsonl.partial").write_text("".join(lines[:2]) + lines[2][:10])
    harvest_functions(tmp_path, str(folder), license="MIT", sandbox=SANDBOX)
    for name in ("probed.jsonl", "functions.jsonl"):
        assert (begun / name).read_bytes() == (workdir / name).read_bytes()


def test_the_shortest_functions_and_the_first_calls_are_kept(folder, tmp_path):
    harvest_functions(
        tmp_path,
        str(folder),
        max_functions=1,
        inputs_per_function=2,
        held_out_fraction=0.0,
        sandbox=SANDBOX,
    )
    written = tmp_path / "harvest_functions"
    calls = [r["call"] for r in read_jsonl(written / "functions.jsonl")]
    assert len(calls) == 2
    assert calls[0] == "double(21)"
    assert {r["split"] for r in read_jsonl(written / "functions.jsonl")} == {"train"}
    # Twice as many candidates as wanted are probed: double and shout.
    assert len(list(read_jsonl(written / "probed.jsonl"))) == 2


def test_a_value_in_the_order_of_a_set_of_texts_is_dropped(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    code.joinpath("words.py").write_text(
        "def unique(words):\n"
        '    """\n    >>> unique("one two three four five".split())\n    []\n    """\n'
        "    return list(set(words))\n"
        "def size(words):\n"
        '    """\n    >>> size(["a", "b"])\n    2\n    """\n'
        "    return len(set(words))\n"
    )
    harvest_functions(tmp_path, str(code), inputs_per_function=1, sandbox=SANDBOX)
    written = tmp_path / "harvest_functions"
    calls = [r["call"] for r in read_jsonl(written / "functions.jsonl")]
    assert calls == ["size(['a', 'b'])"]
    reason = "prints something else when it runs under another hash seed"
    assert json.loads((written / "report.json").read_text())["cases_dropped"] == {
        reason: 1
    }


def test_calls_have_one_python(workdir, folder, tmp_path):
    note = json.loads((workdir / "sandbox.json").read_text())
    assert note["python"] == find_interpreter().version
    begun = tmp_path / "harvest_functions"
    begun.mkdir()
    (begun / "sandbox.json").write_text(json.dumps({**note, "python": "3.1.4"}))
    with pytest.raises(UserError, match=r"under Python 3\.1\.4"):
        harvest_functions(tmp_path, str(folder), sandbox=SANDBOX)


def test_a_finished_job_does_nothing(workdir, tmp_path):
    harvest_functions(workdir.parent, str(tmp_path / "gone"), sandbox=SANDBOX)
    assert (workdir / "functions.jsonl").exists()


def test_work_of_other_settings_is_refused(workdir, folder, tmp_path):
    begun = tmp_path / "harvest_functions"
    begun.mkdir()
    lines = (workdir / "probed.jsonl").read_text().splitlines(keepends=True)
    (begun / "probed.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(UserError, match="lists other functions"):
        harvest_functions(tmp_path, str(folder), sandbox=SANDBOX)


def test_impossible_settings_and_a_folder_without_functions_are_refused(tmp_path):
    with pytest.raises(UserError, match="got 0, 3 and 0.3"):
        harvest_functions(tmp_path, max_functions=0)
    with pytest.raises(UserError, match="is not a folder"):
        harvest_functions(tmp_path, str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="No function below"):
        harvest_functions(tmp_path, str(tmp_path / "empty"), sandbox=SANDBOX)


def test_mutated_calls_that_reach_new_code_come_first(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    text = "def gate(n):\n    if abs(n) == 4711:\n        n = n + 1\n        return n * 2\n"
    (code / "gate.py").write_text(text + "    return n\n")
    settings = {"held_out_fraction": 0.0, "sandbox": SANDBOX, "inputs_per_function": 2}
    for name, rounds in (("plain", 0), ("fuzzed", 60)):
        harvest_functions(tmp_path / name, str(code), fuzz_rounds=rounds, **settings)
    plain, fuzzed = (
        list(read_jsonl(tmp_path / name / "harvest_functions" / "functions.jsonl"))
        for name in ("plain", "fuzzed")
    )
    assert {r["stdout"] for r in plain} != {r["stdout"] for r in fuzzed}
    # Nothing tells that 4711 is a value of n but that the code holds it: 2 * (4711 + 1) = 9424.
    assert [(r["call"], r["stdout"]) for r in fuzzed][1:] == [("gate(4711)", "9424\n")]
    assert fuzzed[1]["origin"] == "fuzzed"
    report = tmp_path / "fuzzed" / "harvest_functions" / "report.json"
    coverage = json.loads(report.read_text())["coverage"]
    # The condition and the last line of 4; then all.
    assert coverage == {
        "num_lines": 4,
        "covered_by_given_calls": 0.5,
        "covered_after_fuzzing": 1.0,
    }
