"""A sweep through the real command line: runs, sharing, stops, failures, tables."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from simex.core.stamps import stamp_path
from tests.sweeps.conftest import ROOT, read_table
from tests.sweeps.field import simex_command


def test_runs_share_their_first_stages_and_end_in_one_table(sweep):
    code, out, err = sweep("--grid", "reap.rate=0.1,0.2", "--zip", "sow.seeds=3,4")
    assert code == 0, err
    # Each of the two values of sow.seeds is sown once, though two runs need it.
    assert sorted((ROOT / "sown.txt").read_text().splitlines()) == [
        "rate=0.1,seeds=3",
        "rate=0.1,seeds=4",
    ]
    assert "rate=0.2,seeds=3: starts with 1 stages of rate=0.1,seeds=3" in err
    runs = read_table()
    values = {
        name: run["estimates"]["crop.yield"]["value"] for name, run in runs.items()
    }
    assert {name: round(value, 6) for name, value in values.items()} == {
        "rate=0.1,seeds=3": 0.3,
        "rate=0.1,seeds=4": 0.4,
        "rate=0.2,seeds=3": 0.6,
        "rate=0.2,seeds=4": 0.8,
    }
    assert "| 0.2 | 3 | 60.0 [50.0, 70.0] | done |" in out
    assert (ROOT / "results.md").read_text() in out
    with open(ROOT / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert rows[3]["reap.rate"] == "0.2" and rows[3]["n"] == "7"
    page = (ROOT / "results.html").read_text()
    assert page.count("<svg") == 1 and "sow.seeds = 4" in page


def test_shared_files_are_one_file_and_a_changed_run_keeps_the_other_whole(sweep):
    sweep("--grid", "reap.rate=0.1,0.2")
    first, second = (ROOT / f"rate=0.{i}" / "sow" / "field.txt" for i in (1, 2))
    assert first.stat().st_ino == second.stat().st_ino
    assert sweep("--grid", "reap.rate=0.2", "--set", "sow.seeds=9")[0] == 0
    assert second.read_text() == "x" * 9 and first.read_text() == "xxx"


def test_a_second_call_does_nothing_and_a_further_value_runs_alone(sweep):
    sweep("--grid", "reap.rate=0.1")
    table = (ROOT / "results.md").read_text()
    _, _, err = sweep("--grid", "reap.rate=0.1")
    assert err.splitlines() == ["[1/1] rate=0.1: done before"]
    assert (ROOT / "results.md").read_text() == table
    _, _, err = sweep("--grid", "reap.rate=0.1,0.3")
    assert "[1/2] rate=0.1: done before" in err
    assert "[2/2] rate=0.3: starts with 1 stages of rate=0.1" in err


def test_stages_that_are_made_anew_are_made_once_too(sweep):
    words = ["--grid", "reap.rate=0.1,0.2", "--parallel", "2"]
    sweep(*words)
    code, _, err = sweep(*words, "--set", "sow.seeds=9")
    assert code == 0, err
    assert "rate=0.2: starts with 1 stages of rate=0.1" in err
    assert (ROOT / "sown.txt").read_text() == "rate=0.1\n" * 2


def test_a_folder_that_somebody_else_runs_in_costs_its_run_alone(sweep):
    sweep("--grid", "reap.rate=0.1")
    command = "import sys; from simex.core.workdir_lock import hold_workdir\n"
    command += "import pathlib\nwith hold_workdir(pathlib.Path(sys.argv[1])):\n"
    command += "    print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", command, str(ROOT / "rate=0.2")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        code, _, err = sweep("--grid", "reap.rate=0.1,0.2,0.3")
        holder.communicate()
    assert code == 2
    assert "rate=0.2: not begun: Only one run at a time" in err
    assert {name: run["state"] for name, run in read_table().items()} == {
        "rate=0.1": "done",
        "rate=0.2": "failed",
        "rate=0.3": "done",
    }


def test_a_run_that_fails_is_told_and_the_others_go_on(sweep):
    code, _, err = sweep("--grid", "reap.crop='rye','oat'")
    assert code == 2
    assert "crop=rye: failed with exit code 1" in err
    assert "    ValueError: rye does not grow" in err
    assert "1 of 2 runs failed" in err and "Traceback" not in err
    assert {n: r["state"] for n, r in read_table().items()} == {
        "crop=rye": "failed",
        "crop=oat": "done",
    }


def start(*words: str) -> subprocess.Popen[str]:
    """A sweep that is a process too."""
    return subprocess.Popen(
        [*simex_command(), "sweep", "field.gin", *words],
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: pathlib.Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_stopped_sweep_stops_its_runs_and_the_same_command_continues(sweep):
    words = ["--grid", "reap.rate=0.1,0.2", "--parallel", "2"]
    process = start(*words, "--set", "reap.secs=30.0")
    # The second run waits until the first has sown, then both reap.
    for name in ("rate=0.1", "rate=0.2"):
        wait_for(ROOT / name / "reap" / "started")
    holders = [
        int((ROOT / name / ".lock").read_text().split()[1])
        for name in ("rate=0.1", "rate=0.2")
    ]
    assert all(map(is_alive, holders))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.endswith("stopped; the same command continues\n")
    assert not any(map(is_alive, holders))
    assert {r["state"] for r in read_table().values()} == {"not run"}
    assert sweep(*words, "--set", "reap.secs=0.0")[0] == 0
    assert (ROOT / "sown.txt").read_text() == "rate=0.1\n"


def test_a_run_whose_donor_was_stopped_takes_over_what_is_there(sweep):
    """As after a crash: a folder without its stamp is made anew, not taken."""
    sweep("--grid", "reap.rate=0.1")
    stamp_path(ROOT / "rate=0.1", "sow").unlink()
    code, _, err = sweep("--grid", "reap.rate=0.2,0.1")
    assert code == 0
    assert "[1/2] rate=0.2: starts\n" in err
    assert (ROOT / "rate=0.2" / "sow" / "field.txt").read_text() == "xxx"


def test_xmanager_gets_every_run_in_its_bucket_and_none_for_a_table(sweep, monkeypatch):
    launched = []
    monkeypatch.setattr(
        "simex.sweeps.xm.launch",
        lambda runs, overrides, *, words: launched.append(runs) or 0,
    )
    grid = ["--grid", "reap.rate=0.1,0.2", "--launcher", "xm"]
    assert sweep(*grid, "--workdir", "gs://bucket/field")[0] == 0
    (runs,) = launched
    assert [run.words()[3] for run in runs] == [
        "gs://bucket/field/rate=0.1",
        "gs://bucket/field/rate=0.2",
    ]
    assert not pathlib.Path("gs:").exists()
    assert sweep(*grid, "--table")[0] == 0
    assert len(launched) == 1 and (ROOT / "results.md").exists()


def test_a_folder_of_this_machine_holds_one_sweep_whoever_launches_it(
    sweep, monkeypatch
):
    launched = []
    monkeypatch.setattr(
        "simex.sweeps.xm.launch",
        lambda runs, overrides, *, words: launched.append(runs) or 0,
    )
    by_xm = ["--launcher", "xm", "--workdir", "many"]
    assert sweep("--grid", "reap.rate=0.1,0.2", *by_xm)[0] == 0
    other = ["--grid", "late/reap.rate=0.1", "--set", "run.stages=[@late/reap]"]
    code, _, err = sweep(*other, "--set", "late/reap.crop='oat'", *by_xm)
    assert code == 2 and "many must hold one sweep; it holds one over reap.rate" in err
    assert len(launched) == 1


def test_a_sweep_over_other_settings_needs_a_folder_of_its_own(sweep):
    """Both would name their runs rate=0.1 and rate=0.2."""
    assert sweep("--grid", "reap.rate=0.1,0.2")[0] == 0
    before = (ROOT / "results.md").read_text()
    other = ["--grid", "late/reap.rate=0.1,0.2", "--set", "run.stages=[@late/reap]"]
    other += ["--set", "late/reap.crop='oat'"]
    for words in ([], ["--table"], ["--dry-run"]):
        code, _, err = sweep(*other, *words)
        assert code == 2 and err == (
            "simex: runs/field.sweep must hold one sweep; it holds one over reap.rate, "
            "and this one is over late/reap.rate. Name a folder of its own with "
            "--workdir.\n"
        )
    assert (ROOT / "results.md").read_text() == before
    assert (ROOT / "rate=0.1" / "reap").exists()
    listed = sweep(*other, "--dry-run", "--workdir", "late.sweep")[1]
    assert listed.startswith("2 runs of field.gin in late.sweep\n")


def test_a_name_that_no_run_has_stops_nothing_and_is_refused_at_the_end(sweep):
    words = ["--grid", "reap.rate=0.1,0.2", "--estimates", "crop.yeild"]
    with pytest.warns(UserWarning, match=r"No run has crop\.yeild yet"):
        code, out, err = sweep(*words)
    assert {run["state"] for run in read_table().values()} == {"done"}
    assert "| 0.2 | – | done |" in out
    refusal = (
        "simex: There is no estimate 'crop.yeild'. Did you mean 'crop.yield'? Known: "
        "crop.yield.\n"
    )
    assert code == 2 and err.endswith(refusal)
    code, _, err = sweep(*words, "--table")
    assert code == 2 and err == refusal
    assert sweep(*words[:3], "crop.yield")[0] == 0


def test_a_dry_run_lists_runs_and_what_they_take_over_and_writes_nothing(sweep):
    assert sweep("--grid", "reap.rate=0.1,0.2", "--dry-run")[1] == (
        "2 runs of field.gin in runs/field.sweep\n\n"
        "  rate=0.1: sow, reap\n"
        "  rate=0.2: 1 stages of rate=0.1, then reap\n"
    )
    assert not ROOT.exists()


def test_a_bad_value_is_refused_before_anything_runs(sweep):
    code, _, err = sweep("--grid", "reap.rate=0.1,'much'")
    assert code == 2
    assert "reap.rate must be float; got 'much'" in err
    assert not ROOT.exists()


def test_two_sweeps_in_one_folder_are_refused(sweep):
    process = start("--grid", "reap.rate=0.1", "--set", "reap.secs=30.0")
    wait_for(ROOT / "rate=0.1" / "reap" / "started")
    code, _, err = sweep("--grid", "reap.rate=0.2")
    process.terminate()
    process.communicate(timeout=30)
    assert code == 2
    assert "Only one run at a time may use runs/field.sweep" in err


def test_the_help_of_a_sweep_does_not_wait_for_jax():
    code = (
        "import sys; from simex.main import main\n"
        "try: main(['sweep', '--help'])\n"
        "except SystemExit: print('jax' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "--grid" in ended.stdout and ended.stdout.endswith("False\n")
