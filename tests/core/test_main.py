"""The command line: words, exit codes, and how it stops."""

import errno
import pathlib
import re
import signal
import subprocess
import sys
import time

import gin
import pytest

from simex import main as main_module
from simex.commands import run
from simex.main import main

# A program with jobs of its own, for what only a whole process shows.
PROGRAM = """
import pathlib, sys, time
import gin

@gin.configurable
def sleep(workdir: pathlib.Path, stage_dir: pathlib.Path):
    (stage_dir / "asleep").touch()
    time.sleep(30)

from simex.commands import run
run._register_jobs = lambda: None
from simex.main import main
sys.exit(main())
"""


@pytest.fixture
def program(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("program.py").write_text(PROGRAM)
    pathlib.Path("nap.gin").write_text("run.stages = [@sleep]\nrun.cpu_devices = 1\n")
    return [sys.executable, "program.py", "run", "nap.gin"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_stops_with_its_code_and_leaves_a_run_that_goes_on(
    program, number, code
):
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
    asleep = pathlib.Path("runs/nap/sleep/asleep")
    deadline = time.monotonic() + 30
    while not asleep.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.endswith("stopped; the same command continues\n")
    assert "Traceback" not in err
    again = subprocess.run(
        [*program, "--dry-run"], capture_output=True, text=True, check=True
    )
    assert "  sleep  to resume\n" in again.stdout


def fail(fault: str) -> None:
    match fault:
        case "full disk":
            with open("/dev/full", "w") as file:
                file.write("x")
        case "full disk, told by a library":
            raise ValueError("zarr: No space left on device")
        case "full disk, wrapped by a library":
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise RuntimeError("cannot save") from error
        case "bug":
            raise ValueError("a bug")


@pytest.fixture
def farm_main(write_gin, monkeypatch):
    """The command line over a farm with a job that fails, in this process."""

    def sow(workdir: pathlib.Path, *, fault: str = "") -> None:
        fail(fault)

    gin.configurable(sow)
    monkeypatch.setattr(run, "_register_jobs", lambda: None)
    monkeypatch.setattr(run, "_prepare_devices", lambda experiment, workdir: None)
    path = write_gin("run.stages = [@sow]\nrun.cpu_devices = 1\n")

    def run_farm(*words: str) -> int:
        return main(["run", path, *words])

    return run_farm


@pytest.mark.parametrize(
    "fault",
    [
        "full disk",
        "full disk, told by a library",
        "full disk, wrapped by a library",
    ],
)
def test_a_full_disk_is_a_sentence(fault, farm_main, capsys):
    assert farm_main("--set", f"sow.fault='{fault}'") == 2
    err = capsys.readouterr().err
    assert "simex: The disk is full" in err
    assert err.endswith("make room and run the same command again; it continues.\n")


def test_a_bug_keeps_its_traceback(farm_main):
    with pytest.raises(ValueError, match="a bug"):
        farm_main("--set", "sow.fault='bug'")


def test_a_wish_that_cannot_be_is_told_plainly(farm_main, capsys):
    assert farm_main("--set", "sow.fualt=''") == 2
    assert capsys.readouterr().err == (
        "simex: --set \"sow.fualt=''\": There is no parameter of sow 'fualt'. Did you "
        "mean 'fault'? Known: fault.\n"
    )


def test_a_dry_run_shows_stages_and_changed_settings_and_writes_nothing(
    farm_main, capsys
):
    assert farm_main("--dry-run", "--set", "sow.fault='none'") == 0
    assert capsys.readouterr().out == (
        "farm.gin in runs/farm\n"
        "\n"
        "Stages\n"
        "  sow  to run\n"
        "\n"
        "Settings that differ from their defaults\n"
        "  sow.fault = 'none'  (default ''; --set \"sow.fault='none'\")\n"
        "  run.cpu_devices = 1  (default None; farm.gin:2)\n"
    )
    assert not pathlib.Path("runs").exists()


def test_another_file_of_the_same_name_needs_a_workdir_of_its_own(farm_main, capsys):
    assert farm_main() == 0
    pathlib.Path("study").mkdir()
    pathlib.Path("study/farm.gin").write_text(pathlib.Path("farm.gin").read_text())
    for dry in ([], ["--dry-run"]):
        assert main(["run", "study/farm.gin", *dry]) == 2
        assert "runs/farm must belong to study/farm.gin" in capsys.readouterr().err
    assert main(["run", "study/farm.gin", "--workdir", "runs/farm"]) == 0
    assert farm_main() == 2  # it is the other's now


def test_a_stage_that_is_not_there_is_refused_before_anything_is_written(
    farm_main, capsys
):
    assert farm_main("--only", "saw") == 2
    assert "There is no stage 'saw'. Did you mean 'sow'?" in capsys.readouterr().err
    assert not pathlib.Path("runs").exists()


def test_help_names_every_word_and_does_not_wait_for_jax():
    code = (
        "import sys; from simex.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('jax' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    for word in main_module.COMMANDS:
        assert re.search(rf"\n    {word}\s", ended.stdout)
    assert ended.stdout.endswith("False\n")


def test_an_unknown_word_exits_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["rnu"])
    assert caught.value.code == 2
    assert "invalid choice: 'rnu'" in capsys.readouterr().err
