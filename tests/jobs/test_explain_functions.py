"""Calls of functions, run in the sandbox and told in words."""

import json

import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.data.builder import load_split
from simex.jobs.explain_functions import explain_functions
from simex.jobs.sandbox import SandboxConfig
from simex.nlex.rewriters import REWRITERS
from tests.nlex.lying import lie_about_8

DOUBLE = "def double(n):\n    m = n + n\n    return m\n"


def call(number, **changes):
    record = {
        "id": f"double#{number}",
        "group": "double.py",
        "kind": "returns",
        "source": DOUBLE,
        "setup": "",
        "call": f"double({number})",
        "expected": str(2 * number),
    }
    return record | changes


CALLS = [
    call(3),
    call(4, source="def double(n):\n    return n * 2\n"),
    call(5, expected="11"),
    call(6, kind="raises"),
    call(7, setup="x = 1"),
]


def write_calls(folder, calls):
    folder.mkdir(exist_ok=True)
    path = folder / "calls.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in calls))
    return str(path)


def run(tmp_path, calls, **options):
    path = write_calls(tmp_path / "public", calls)
    explain_functions(
        tmp_path,
        tmp_path / "out",
        paths=[path],
        sandbox=SandboxConfig(num_workers=1),
        **options,
    )
    return list(read_jsonl(tmp_path / "out" / "calls.jsonl"))


def test_a_true_call_gives_an_explanation_and_a_direct_answer(tmp_path):
    records = run(tmp_path, CALLS)
    assert [record["id"] for record in records] == ["double#3", "double#4", "double#5"]
    assert records[0]["thought"] == "call double\nn=3\n3 + 3 m=6\nreturn 6"
    assert records[2]["dropped"] == "traced value differs from the record's"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == {
        "read": 5,
        "left_out": {"kind 'raises'": 1, "needs a setup": 1, "not drawn": 0},
        "dropped": {"traced value differs from the record's": 1},
        "explained": 2,
    }
    split = load_split(tmp_path / "out" / "examples", "train")
    examples = {split[i].id: split[i] for i in range(len(split))}
    assert set(examples) == {
        f"double#{n}/{task}" for n in (3, 4) for task in ("explain", "predict_output")
    }
    answer = "[ANSWER]assert double(3) == 6[/ANSWER]"
    assert examples["double#3/predict_output"].target == answer
    told = f"[THOUGHT]{records[0]['thought']}[/THOUGHT]{answer}"
    assert examples["double#3/explain"].target == told


def test_of_one_function_only_so_many_calls_are_drawn(tmp_path):
    calls = [call(n) for n in range(5)] + [call(9, source=CALLS[1]["source"])]
    records = run(tmp_path, calls, max_calls_per_source=2)
    assert len(records) == 3 and records[-1]["id"] == "double#9"


def test_what_is_told_wrongly_or_at_length_is_dropped_and_counted(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(REWRITERS, "compact", lie_about_8)
    # "call double", "n=3", "3 + 3 m=6" and "return 6": 11 + 3 + 9 + 8, and 3 newlines.
    records = run(tmp_path, [call(3), call(4), call(12)], max_chars=34)
    assert len(records[0]["thought"]) == 34
    assert [record.get("dropped") for record in records] == [
        None,
        "not grounded",
        "explanation too long",
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["dropped"] == {"not grounded": 1, "explanation too long": 1}


def test_an_evaluation_set_is_never_trained_on(tmp_path):
    path = write_calls(tmp_path / "eval", CALLS)
    with pytest.raises(UserError, match="evaluation set"):
        explain_functions(tmp_path, tmp_path / "out", paths=[path])


def test_an_unknown_style_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match=r"explain_functions.style: .* Known: compact"):
        explain_functions(tmp_path, tmp_path / "out", paths=[], style="prosa")
