"""The strongest jail that works is chosen; without one, nothing runs."""

import os

import pytest

from simex.core.errors import UserError
from simex.problems.problem import Limits
from simex.sandbox import backends, interpreter
from simex.sandbox.outcome import RunRequest, RunStatus
from simex.sandbox.pool import SandboxPool


@pytest.fixture
def only_unsafe_works(monkeypatch):
    def why_not_working(name):
        return None if name == "unsafe" else "switched off by a test"

    monkeypatch.setattr(backends, "why_not_working", why_not_working)


def test_auto_takes_the_first_that_works(monkeypatch):
    broken = {"bubblewrap", "bubblewrap_userns"}
    monkeypatch.setattr(
        backends, "why_not_working", lambda name: "no" if name in broken else None
    )
    assert backends.choose_backend().name == "bare"


def test_without_a_jail_nothing_runs_and_the_message_says_why(only_unsafe_works):
    with pytest.raises(UserError) as error:
        backends.choose_backend()
    message = str(error.value)
    assert "bubblewrap: switched off by a test" in message
    assert "allow_unsafe" in message


def test_unsafe_needs_to_be_allowed_even_by_name():
    with pytest.raises(UserError, match="allow_unsafe"):
        SandboxPool(1, "unsafe")


def test_an_unknown_backend_is_answered_with_the_known_ones():
    with pytest.raises(
        UserError, match="auto, bubblewrap, .*bare, ray, unsafe; got 'bwrap'"
    ):
        SandboxPool(1, "bwrap")


def test_a_jail_that_breaks_at_start_is_not_used(monkeypatch):
    """A bwrap that always fails must be seen by the probe, not by the first run."""
    monkeypatch.setenv("PATH", "/nowhere")
    reason = backends.why_not_working.__wrapped__("bubblewrap_userns")
    assert reason is not None and "bwrap" in reason


def test_unsafe_gives_the_same_outcomes_on_harmless_programs():
    """Own programs only: this backend is no jail."""
    limits = Limits(cpu_secs=1.0, output_mib=0.5)
    cases = {
        "print(int(input()) + 1)": (RunStatus.OK, b"3\n"),
        "print(1": (RunStatus.COMPILE_ERROR, b""),
        "print(1)\nraise KeyError": (RunStatus.RUNTIME_ERROR, b"1\n"),
        "while True: pass": (RunStatus.TIME_LIMIT, b""),
    }
    with pytest.warns(RuntimeWarning, match="WITHOUT A JAIL"):
        pool = SandboxPool(2, "unsafe", allow_unsafe=True)
    with pool:
        assert pool.backend_name == "unsafe"
        outcomes = pool.run_all(
            RunRequest(source=source, stdin="2", limits=limits) for source in cases
        )
        assert [(o.status, o.stdout) for o in outcomes] == list(cases.values())
        traced = RunRequest(source="x = 1\nprint(x)", is_traced=True)
        assert b'"x","1"' in pool.submit(traced).result().trace


def test_a_staged_library_that_lost_a_file_is_made_anew(monkeypatch, tmp_path):
    """Folders for temporary files get tidied up, one old file at a time."""
    stdlib = tmp_path / "private" / "lib" / "python3"
    stdlib.mkdir(parents=True)
    for name in ("os.py", "re.py"):
        (stdlib / name).write_text("x = 1\n")
    (stdlib / "test").mkdir()  # left out
    python = interpreter.Interpreter(
        executable=stdlib / "python3",
        prefix=tmp_path / "private",
        stdlib=stdlib,
        version="3.0.0",
    )
    monkeypatch.setattr(interpreter.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(interpreter.tempfile, "tempdir", str(tmp_path))
    stage = interpreter.stage_library.__wrapped__
    first = stage(python)
    assert stage(python) == first and first.parent == tmp_path
    copy = first / "lib" / "python3"
    assert sorted(p.name for p in copy.iterdir()) == ["os.py", "re.py"]
    (copy / "re.py").unlink()
    assert stage(python) == first and (copy / "re.py").exists()
    os.chmod(first, 0o777)  # somebody else could have put anything there
    assert stage(python) != first
