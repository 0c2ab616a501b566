"""launch/local, with an environment that is there, missing, or half made."""

import fcntl
import os
import pathlib
import shlex
import shutil
import subprocess
import time

import pytest

from simex.core.config import load_experiment
from simex.jobs.wiring import register

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"

# Stands where a Python stands: says what it was called with.
FAKE_PYTHON = '#!/bin/sh\necho "$@"\n'
# Makes an environment as uv does; its second step fails while the file "broken" exists.
FAKE_UV = """#!/bin/sh
echo "uv $1" >>calls.txt
if [ "$1" = venv ]; then
  for folder; do :; done
  mkdir -p "$folder/bin" site
  printf '#!/bin/sh\\ncase "$2" in *sysconfig*) echo site;; *) echo "$@";; esac\\n' \\
    >"$folder/bin/python"
  chmod +x "$folder/bin/python"
else
  test ! -e broken
fi
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> pathlib.Path:
    """A folder with launch/ and a PATH that begins with bin/."""
    shutil.copytree(LAUNCH, tmp_path / "launch")
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("PYTHON", raising=False)
    return tmp_path


def write_script(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def install_fake(checkout: pathlib.Path) -> None:
    write_script(checkout / ".venv/bin/python", FAKE_PYTHON)
    shutil.copy(checkout / "launch/requirements.lock", checkout / ".venv/simex.lock")


def launch(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["launch/local", *words], capture_output=True, text=True, check=False
    )


def test_an_installed_environment_is_used_at_once(checkout):
    install_fake(checkout)
    secs = []
    for _ in range(3):
        begin = time.monotonic()
        ended = launch("run", "x.gin", "--set", "a.b='c d'")
        secs.append(time.monotonic() - begin)
    assert ended.stdout == "-P -m simex.main run x.gin --set a.b='c d'\n"
    # Measured: 0.01 s. The bound leaves room for a busy machine.
    assert min(secs) < 0.1


def test_test_runs_pytest_with_the_words_after_it(checkout):
    install_fake(checkout)
    expected = "-m pytest -n 2 --dist loadfile -k a b\n"
    assert launch("test", "-k", "a b").stdout == expected


def test_the_exit_code_is_that_of_the_command(checkout):
    install_fake(checkout)
    write_script(checkout / ".venv/bin/python", "#!/bin/sh\nexit 130\n")
    assert launch("run", "x.gin").returncode == 130


def test_a_first_call_installs_and_a_second_does_not(checkout):
    write_script(checkout / "bin/uv", FAKE_UV)
    assert launch("--version").stdout == "-P -m simex.main --version\n"
    assert launch("--version").returncode == 0
    assert (checkout / "calls.txt").read_text() == "uv venv\nuv pip\n"
    assert (checkout / "site/simex.pth").read_text() == f"{checkout}\n"
    assert os.access(checkout / ".venv/bin/simex", os.X_OK)


def test_an_installation_that_failed_is_made_anew(checkout):
    write_script(checkout / "bin/uv", FAKE_UV)
    (checkout / "broken").touch()
    assert launch("--version").returncode != 0
    (checkout / ".venv/half-installed").touch()
    (checkout / "broken").unlink()
    assert launch("--version").stdout == "-P -m simex.main --version\n"
    assert not (checkout / ".venv/half-installed").exists()


def test_a_changed_lock_installs_anew(checkout):
    write_script(checkout / "bin/uv", FAKE_UV)
    install_fake(checkout)
    with open(checkout / "launch/requirements.lock", "a") as lock:
        lock.write("# changed\n")
    launch("--version")
    assert (checkout / "calls.txt").read_text() == "uv venv\nuv pip\n"


def pull_another_lock(checkout: pathlib.Path) -> None:
    """As git does it: a new file takes the place of the old one."""
    lock = checkout / "launch/requirements.lock"
    new = lock.with_suffix(".new")
    new.write_text(lock.read_text() + "# changed\n")
    new.replace(lock)


def test_an_environment_in_use_is_never_installed_over(checkout):
    write_script(checkout / "bin/uv", FAKE_UV)
    install_fake(checkout)
    write_script(checkout / ".venv/bin/python", "#!/bin/sh\necho runs\nread line\n")
    running = subprocess.Popen(
        ["launch/local", "run", "x.gin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout.readline() == "runs\n"
        pull_another_lock(checkout)
        refused = launch("--version")
        assert refused.returncode == 2
        assert "a command that uses it still runs. Wait for it" in refused.stderr
        assert not (checkout / "calls.txt").exists()
        running.stdin.write("\n")
    assert running.returncode == 0
    assert launch("--version").stdout == "-P -m simex.main --version\n"
    assert (checkout / "calls.txt").read_text() == "uv venv\nuv pip\n"


def test_commands_run_beside_each_other(checkout):
    install_fake(checkout)
    with open(checkout / ".venv.in_use", "w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_SH)  # as another command holds it
        assert launch("--version").stdout == "-P -m simex.main --version\n"


def test_a_call_waits_for_another_installation_and_uses_it(checkout):
    write_script(checkout / "bin/uv", FAKE_UV)  # never called
    with open(checkout / ".venv.in_use", "w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)  # as another installation holds it
        waiting = subprocess.Popen(
            ["launch/local", "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with waiting:
            said = waiting.stderr.readline()
            assert said == "launch/local: waiting for another installation\n"
            install_fake(checkout)
            fcntl.flock(in_use, fcntl.LOCK_UN)
            assert waiting.communicate(timeout=10)[0].endswith("main --version\n")
    assert not (checkout / "calls.txt").exists()


def test_no_recent_python_is_a_sentence(checkout, monkeypatch):
    for name in ("bash", "dirname", "env", "cmp", "flock"):
        (checkout / "bin" / name).symlink_to(shutil.which(name))
    write_script(checkout / "bin/python3", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(checkout / "bin"))
    ended = launch("--version")
    assert ended.returncode == 2
    assert "simex needs Python 3.11 or newer; none of" in ended.stderr


def test_a_named_python_that_is_too_old_is_refused(checkout, monkeypatch):
    write_script(checkout / "bin/old", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PYTHON", "old")
    ended = launch("--version")
    assert ended.returncode == 2
    assert "PYTHON must be Python 3.11 or newer; old is not." in ended.stderr


def test_the_lock_pins_everything_with_hashes_and_has_no_addresses():
    text = (LAUNCH / "requirements.lock").read_text()
    assert "://" not in text
    packages = [
        block
        for block in text.replace("\\\n", " ").splitlines()
        if block and not block.startswith("#")
    ]
    assert len(packages) > 50
    for package in packages:
        assert "==" in package.split()[0]
        assert "--hash=sha256:" in package


def test_a_dry_run_of_the_study_changes_nothing(checkout):
    write_script(checkout / "launch/local", '#!/bin/sh\necho "$@"\n')
    kept = checkout / "runs/study_smoke/table/report.html"
    kept.parent.mkdir(parents=True)
    kept.touch()
    words = ["launch/study", "--smoke", "--dry-run"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = ended.stdout.splitlines()
    assert len(lines) == 3 and all(line.endswith(" --dry-run") for line in lines)
    assert kept.exists()
    ended = subprocess.run(words[:2], capture_output=True, text=True, check=True)
    assert "--dry-run" not in ended.stdout and not kept.exists()


def launch_ray(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["launch/ray", *words], capture_output=True, text=True, check=False
    )


def test_a_ray_cluster_is_started_joined_and_stopped(checkout, monkeypatch):
    install_fake(checkout)
    write_script(checkout / ".venv/bin/ray", '#!/bin/sh\necho "$RAY_AUTH_MODE $@"\n')
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("CPUS", "4")
    head, join = launch_ray("head"), launch_ray("join", "a.example:6379")
    common = "--num-cpus 4 --disable-usage-stats\n"
    only_head = "--include-dashboard=false"  # joining with it is an error of Ray's
    assert head.stdout == f"token start --head --port 6379 {only_head} {common}"
    assert "RAY_ADDRESS=" in head.stderr and "RAY_AUTH_MODE=token" in head.stderr
    words = shlex.split(head.stderr.splitlines()[-1].partition("FILE.gin ")[2])
    register()  # an experiment takes the words that it says
    overrides = [word.rstrip(",") for word in words if "=" in word]
    assert len(overrides) == 2
    experiment = load_experiment(LAUNCH.parent / "experiments/smoke.gin", overrides)
    rl = next(stage for stage in experiment.stages if stage.name == "train_rl")
    assert rl.settings["sandbox.backend"] == "'ray'"
    assert join.stdout == f"token start --address a.example:6379 {common}"
    assert launch_ray("stop").stdout == " stop\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [(["join"], "needs HOST:PORT"), (["go"], "the words are"), (["head"], "a secret")],
)
def test_a_ray_cluster_that_cannot_start_says_why(
    checkout, monkeypatch, words, message
):
    install_fake(checkout)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    ended = launch_ray(*words)
    assert ended.returncode == 2 and message in ended.stderr
