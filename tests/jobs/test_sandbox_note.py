"""Which jail and which Python ran the programs of a stage, and that it is one Python."""

import dataclasses
import json
import types

import pytest

from simex.core.errors import UserError
from simex.data.explained import report_path
from simex.jobs import explain_programs as job
from simex.jobs import sandbox
from simex.jobs.sandbox import load_backends, note_sandbox, warn_of_weaker
from simex.sandbox.interpreter import find_interpreter


def pool(backend):
    return types.SimpleNamespace(backend_name=backend)


def is_python(monkeypatch, version):
    other = dataclasses.replace(find_interpreter(), version=version)
    monkeypatch.setattr(sandbox, "find_interpreter", lambda: other)


def test_a_stage_that_goes_on_names_all_jails_and_one_python(tmp_path, monkeypatch):
    is_python(monkeypatch, "3.11.7")
    for backend in ("seccomp", "seccomp", "bubblewrap", "seccomp"):
        note_sandbox(tmp_path / "stage", pool(backend))
    note = json.loads((tmp_path / "stage" / "sandbox.json").read_text())
    assert note == {"backend": "seccomp and bubblewrap", "python": "3.11.7"}
    is_python(monkeypatch, "3.12.0")
    with pytest.raises(UserError, match=r"under Python 3\.11\.7.*this is 3\.12\.0"):
        note_sandbox(tmp_path / "stage", pool("seccomp"))
    note_sandbox(tmp_path / "other", pool("seccomp"))
    folders = [tmp_path / name for name in ("other", "none", "stage")]
    assert load_backends(folders) == "seccomp and bubblewrap"
    assert load_backends(folders[1:2]) == ""


@pytest.mark.parametrize(
    ("backends", "weaker"),
    [
        ("", ""),
        ("bubblewrap", ""),
        ("bubblewrap_userns and ray:bubblewrap", ""),
        ("bubblewrap and seccomp", "'seccomp'"),
        ("ray:seccomp and bubblewrap and bare", "'ray:seccomp and bare'"),
    ],
)
def test_any_jail_that_is_weaker_than_bubblewrap_is_warned_of(backends, weaker):
    found = warn_of_weaker(backends)
    assert [f"in the jail {weaker}," in text for text in found] == [True] * bool(weaker)


def test_a_note_of_an_older_simex_is_gone_on_from(tmp_path, monkeypatch):
    is_python(monkeypatch, "3.11.7")
    (tmp_path / "sandbox.json").write_text('{"backend": "seccomp"}')
    note_sandbox(tmp_path, pool("seccomp"))
    note = json.loads((tmp_path / "sandbox.json").read_text())
    assert note == {"backend": "seccomp", "python": "3.11.7"}


def test_a_dataset_is_not_gone_on_with_under_another_python(tmp_path, monkeypatch):
    def make(plan, wanted, most):
        """Shards without anything in them: only what the reports say matters."""
        for shard in wanted:
            path = report_path(plan.out, *shard)
            path.parent.mkdir(exist_ok=True)
            path.write_text('{"sandbox": {"backend": "seccomp", "python": "3.11.7"}}')
            yield shard

    monkeypatch.setitem(job.MAKERS, "processes", make)
    plan = types.SimpleNamespace(out=str(tmp_path), shard_size=1)
    is_python(monkeypatch, "3.11.7")
    job._make_all(plan, {"train": 1}, "processes", None)
    job._make_all(plan, {"train": 2}, "processes", None)
    is_python(monkeypatch, "3.12.0")
    with pytest.raises(UserError, match=r"train-00000\.json says .* Python 3\.11\.7"):
        job._make_all(plan, {"train": 3}, "processes", None)
    assert not report_path(tmp_path, "train", 2).exists()
