"""Datasets of explained programs: the same bytes however often the build is killed."""

import contextlib
import hashlib
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.data.builder import load_split
from simex.data.explained import ShardPlan, make_shard, report_path
from simex.data.listed_runs import DealtRuns, FileRuns, deal
from simex.data.runs import CurriculumRuns
from simex.jobs.explain_programs import explain_programs
from simex.nlex.rewriters import REWRITERS
from simex.sandbox.driverless import DriverlessPool
from simex.sandbox.outcome import RunRequest
from tests.nlex.lying import lie_about_8

# Each costs the start of three processes; ten were tried too.
NUM_KILLS = int(os.environ.get("SIMEX_TEST_KILLS", "3"))
ROOT = pathlib.Path(__file__).parents[2]
BUILD = """
import pathlib, sys
from simex.jobs.explain_programs import explain_programs
if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    explain_programs(out, out, num_shards={"train": 11, "validation": 1},
                     shard_size=12, num_processes=2, made_by=sys.argv[2])
"""


def start_build(out, tmp_path, made_by="processes"):
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    return subprocess.Popen(
        [sys.executable, str(script), str(out), made_by],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def digests(out):
    kept = [p for p in sorted(out.rglob("*")) if p.is_file()]
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in kept
    }


def num_reports(out):
    return len(list((out / "reports").glob("*.json"))) if out.exists() else 0


@pytest.mark.slow
def test_kills_leave_the_bytes_of_a_build_that_was_left_alone(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    build = start_build(whole, tmp_path)
    assert build.wait() == 0
    for number in range(1, NUM_KILLS + 1):
        build = start_build(killed, tmp_path)
        deadline = time.monotonic() + 60
        while num_reports(killed) < number and build.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        build.send_signal(signal.SIGKILL)
        build.wait()
    assert num_reports(killed) >= NUM_KILLS
    build = start_build(killed, tmp_path)
    assert build.wait() == 0
    assert digests(killed) == digests(whole)
    examples = list(load_split(killed, "train"))
    assert len(examples) == len({e.id for e in examples}) > 100
    card = json.loads((killed / "card.json").read_text())
    runs = card["splits"]["train"]["runs"]
    # Every run is kept or has a reason: 11 shards of 12.
    assert sum(runs.values()) == 11 * 12 and runs["kept"] == len(examples)


@pytest.mark.long
def test_a_ray_cluster_makes_the_same_bytes_though_a_task_is_killed(
    tmp_path, ray_cluster
):
    del ray_cluster  # it runs, and RAY_ADDRESS names it
    alone, on_ray = tmp_path / "alone", tmp_path / "on_ray"
    assert start_build(alone, tmp_path).wait() == 0
    build = start_build(on_ray, tmp_path, made_by="ray")
    deadline = time.monotonic() + 120
    while not num_reports(on_ray) and build.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while not (num_killed := kill_workers_of_ray()) and build.poll() is None:
        time.sleep(0.01)  # between two tasks a worker has another name
    assert num_killed
    assert build.wait(300) == 0
    assert digests(on_ray) == digests(alone)


def kill_workers_of_ray():
    """Those at work on our own cluster, which has a token that no other has."""
    token, num_killed = os.environ["RAY_AUTH_TOKEN"].encode(), 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_ours = token in (folder / "environ").read_bytes()
            if is_ours and (folder / "cmdline").read_bytes().startswith(b"ray::_work"):
                os.kill(int(folder.name), signal.SIGKILL)
                num_killed += 1
    return num_killed


def test_where_no_cluster_is_the_job_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    pytest.importorskip("ray")
    with pytest.raises(UserError, match="ray start --head"):
        explain_programs(tmp_path, tmp_path, num_shards={"train": 1}, made_by="ray")


def make_plan(out, runs, **settings):
    defaults = {
        "shard_size": 8,
        "seed": 0,
        "style": "prose",
        "min_grounding": 1.0,
        "max_chars": 2000,
        "max_events": 50,
        "max_trace_bytes": 1 << 20,
        "cpu_secs": 2.0,
        "verify": False,
        "tokenizer": "",
        "backend": "auto",
        "allow_unsafe": False,
    }
    return ShardPlan(out=str(out), runs=runs, **(defaults | settings))


def test_each_run_of_a_file_is_kept_or_dropped_with_its_reason(tmp_path):
    programs = {
        "good": ("print(int(input()) + 1)\n", "4\n"),
        "broken": ("print(\n", ""),
        "fails": ("1 / 0\n", ""),
        "long": ("for i in range(99):\n    pass\n", ""),
    }
    path = tmp_path / "runs.jsonl"
    with path.open("w") as file:
        for name, (program, stdin) in programs.items():
            record = {"id": name, "program": program, "stdin": stdin, "license": "MIT"}
            file.write(json.dumps(record) + "\n")
    dealt = tmp_path / "dealt"
    assert deal(FileRuns(path=str(path)).programs(tmp_path), dealt, shard_size=8) == {
        "train": 1
    }
    plan = make_plan(tmp_path / "out", DealtRuns(folder=str(dealt)))
    with DriverlessPool(1) as pool:
        make_shard(plan, "train", 0, pool)
        jail = pool.backend_name
    report = json.loads(report_path(plan.out, "train", 0).read_text())
    python = platform.python_version()
    assert report["sandbox"] == {"backend": jail, "python": python}
    assert report["dropped"] == {
        "broken": "the traced run ended in compile_error",
        "fails": "the traced run ended in runtime_error",
        "long": "the trace is over 50 events",
    }
    assert report["num_examples"] == 1 and report["licenses"] == {"MIT": 1}
    assert "prints '5'" in report["samples"][0]["target"]


def test_what_is_told_wrongly_or_at_length_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setitem(REWRITERS, "compact", lie_about_8)
    record = {
        "id": "f",
        "program": "def f(n):\n    return n + 1\nprint(f(int(input())))\n",
        "stdin": "7\n",
        "license": "MIT",
    }
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(record) + "\n")
    dealt = tmp_path / "dealt"
    deal(FileRuns(path=str(path)).programs(tmp_path), dealt, shard_size=8)
    found = []
    with DriverlessPool(1) as pool:
        # "call f", "n=7" and "return 9": two of three are true, in 6 + 3 + 8 characters
        # and two newlines.
        for min_grounding, max_chars in ((1.0, 19), (0.6, 19), (0.6, 18)):
            plan = make_plan(
                tmp_path / f"out{len(found)}",
                DealtRuns(folder=str(dealt)),
                style="compact",
                min_grounding=min_grounding,
                max_chars=max_chars,
            )
            make_shard(plan, "train", 0, pool)
            report = json.loads(report_path(plan.out, "train", 0).read_text())
            found.append(report["dropped"])
    assert found == [{"f": "not grounded"}, {}, {"f": "explanation too long"}]


def test_a_record_without_a_program_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"id": "a", "stdin": ""}\n')
    with pytest.raises(UserError, match="'a' lacks program"):
        list(FileRuns(path=str(path)).programs(tmp_path))


def test_shards_differ_and_do_not_depend_on_each_other():
    def shard(index, seed=0):
        runs = CurriculumRuns().shard("train", index, size=20, seed=seed)
        return [(r.id, r.source, r.stdin) for r in runs]

    assert len(shard(3)) == 20 and shard(3) == shard(3)
    assert not {r[0] for r in shard(3)} & {r[0] for r in shard(4)}
    assert [r[1:] for r in shard(3)] != [r[1:] for r in shard(3, seed=1)]
    test = {r.group for r in CurriculumRuns().shard("test", 0, size=60, seed=0)}
    train = {r.group for r in CurriculumRuns().shard("train", 0, size=60, seed=0)}
    assert not test & train


def test_ids_are_those_of_the_tokenizer_with_the_prompt_marked(tmp_path, monkeypatch):
    from simex.data import explained

    class Bytes:
        user_ids, assistant_ids, end_id, pad_id = (1,), (2,), 3, 0

        def encode(self, text):
            return [byte + 4 for byte in text.encode()]

    monkeypatch.setitem(explained._TOKENIZERS, "bytes", Bytes())
    plan = make_plan(tmp_path, CurriculumRuns(), tokenizer="bytes")
    with DriverlessPool(1) as pool:
        make_shard(plan, "train", 0, pool)
    report = json.loads(report_path(plan.out, "train", 0).read_text())
    arrays = np.load(tmp_path / "tokens" / "train-00000.npz")
    sample = report["samples"][0]
    first = arrays["ids"][: arrays["ends"][0]]
    assert np.diff(arrays["ends"], prepend=0).tolist() == report["num_tokens"]
    # marker, prompt, marker, target, end
    assert arrays["num_prompt_tokens"][0] == len(sample["prompt"].encode()) + 2
    assert len(first) == arrays["num_prompt_tokens"][0] + len(sample["target"]) + 1


@pytest.mark.slow
def test_ctrl_c_ends_the_build_at_once_and_the_next_call_continues(tmp_path):
    out = tmp_path / "out"
    build = start_build(out, tmp_path)
    deadline = time.monotonic() + 60
    while not num_reports(out):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(build.pid, signal.SIGINT)  # as a terminal does: to every process
    assert build.wait(30) != 0
    assert num_reports(out) < 12
    assert start_build(out, tmp_path).wait() == 0 and num_reports(out) == 12


def test_work_that_is_cancelled_does_not_end_its_worker():
    sleeper = RunRequest(source="import time\ntime.sleep(0.3)\nprint(1)")
    with DriverlessPool(1) as pool:
        futures = [pool.submit(sleeper) for _ in range(3)]
        assert futures[2].cancel()
        assert [f.result(60).stdout for f in futures[:2]] == [b"1\n"] * 2
        assert pool.submit(sleeper).result(60).stdout == b"1\n"
