"""launch/tpu.py as a process, against a gcloud that records calls and can fail.

What is sent to workers really runs, in a folder for each; only simex itself is a script
that counts train steps in the shared workdir.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
FAKE_GCLOUD = pathlib.Path(__file__).parent / "fake_gcloud.py"

# In place of launch/local: goes on where the file `step` in the workdir says. Worker 0
# writes it. What happens at a step stands in $FAKE_GCLOUD/events: "3 preempt".
FAKE_SIMEX = """#!/bin/bash
if [[ $1 == --version ]]; then
  bin=$(dirname "$0")/../.venv/bin
  mkdir -p "$bin"
  printf '#!/bin/sh\\necho 0.10.2\\n' >"$bin/python"
  chmod +x "$bin/python"
  exit $([[ -f $FAKE_GCLOUD/no_python && $WORKER == *-1 ]] && echo 2 || echo 0)
fi
while [[ $1 != --workdir ]]; do shift; done
dir=$2
mkdir -p "$dir"
echo "$WORKER: $*" >>"$FAKE_GCLOUD/ran.txt"
echo "$SIMEX_COORDINATOR" >>"$FAKE_GCLOUD/coordinators.txt"
echo "begins"
for step in 1 2 3 4; do
  event=$(grep "^$step " "$FAKE_GCLOUD/events" | cut -d' ' -f2)
  case $event in
    preempt)
      if [[ $WORKER == *-0 ]]; then
        echo SUSPENDED >"$FAKE_GCLOUD/coming"
        sed -i "/^$step /d" "$FAKE_GCLOUD/events"
      fi
      kill -9 "$(cat "$HOME/simex-run/pid")" $$ ;;
    wait) sleep 1 ;;
    fail1) [[ $WORKER == *-1 ]] && exit 1 ;;
    refuse) echo "simex: no such thing"; exit 2 ;;
  esac
  if [[ -f $dir/step && $(cat "$dir/step") -ge $step ]]; then continue; fi
  echo "step $step"
  [[ $WORKER == *-0 ]] && echo "$step" >"$dir/step"
done
exit 0
"""
WORKER_PROGRAMS = {
    "gcsfuse": '#!/bin/sh\nfor f; do :; done\nrmdir "$f"\n'
    'ln -s "$FAKE_GCLOUD/bucket" "$f"\n',
    "sudo": "#!/bin/sh\nexit 0\n",
    "bwrap": "#!/bin/sh\n",
    "mountpoint": '#!/bin/sh\ntest -L "$2"\n',
    "hostname": '#!/bin/sh\necho "$WORKER"\n',
}


def write_script(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def cloud(tmp_path, monkeypatch) -> pathlib.Path:
    """The folder of the fake; the current folder is a small checkout of simex."""
    checkout, fake = tmp_path / "checkout", tmp_path / "cloud"
    shutil.copytree(
        LAUNCH, checkout / "launch", ignore=shutil.ignore_patterns("*.lock")
    )
    write_script(checkout / "launch/local", FAKE_SIMEX)
    (checkout / "experiments").mkdir()
    (checkout / "experiments/x.gin").write_text("run.stages = []\n")
    (checkout / ".gitignore").write_text("runs/\n")
    (checkout / "runs").mkdir()
    (checkout / "runs/big").write_text("not for the workers")
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    (fake / "bucket").mkdir(parents=True)
    (fake / "events").write_text("")
    (fake / "first_states").write_text("WAITING_FOR_RESOURCES PROVISIONING ACTIVE")
    for name, text in WORKER_PROGRAMS.items():
        write_script(fake / "worker_bin" / name, text)
    write_script(
        tmp_path / "bin" / "gcloud",
        f'#!/bin/sh\nexec {sys.executable} -S {FAKE_GCLOUD} "$@"\n',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GCLOUD", str(fake))
    monkeypatch.chdir(checkout)
    return fake


SHARED = ["--name", "first", "--zone", "us-west4-a"]
RUN = [
    *["run", "experiments/x.gin", *SHARED, "--type", "v5litepod-16"],
    *["--workdir", "gs://my-bucket/runs/first", "--poll-secs", "0.05"],
]


def tpu(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["launch/tpu.py", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def read_calls(cloud: pathlib.Path) -> list[list[str]]:
    """Every call without "compute tpus"; none if gcloud was not called."""
    path = cloud / "calls.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)[2:] for line in lines]


def verbs(
    cloud: pathlib.Path, *, without: tuple[str, ...] = ("describe",)
) -> list[str]:
    return [call[1] for call in read_calls(cloud) if call[1] not in without]


def set_faults(cloud: pathlib.Path, **faults: list[str]) -> None:
    (cloud / "faults.json").write_text(json.dumps(faults))


def test_a_run_goes_from_request_to_result_on_all_workers(cloud):
    ended = tpu(*RUN, "--spot", "--project", "mine", "--set", "a.b='c d'")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "begins\nstep 1\nstep 2\nstep 3\nstep 4\n"
    # create, copy, install, start; follow and status until it has ended; give back
    did = verbs(cloud)
    assert did[:4] == ["create", "scp", "ssh", "ssh"] and did[-1] == "delete"
    rounds = did[4:-1]
    assert rounds and set(rounds) == {"ssh"} and len(rounds) % 2 == 0
    calls = [call for call in read_calls(cloud) if call[1] != "describe"]
    assert calls[0] == [
        *["queued-resources", "create", "first", "--node-id=first"],
        *["--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite"],
        *["--spot", "--zone=us-west4-a", "--quiet", "--project=mine"],
    ]
    for state in ("WAITING_FOR_RESOURCES", "PROVISIONING", "there after"):
        assert f"first: {state}" in ended.stderr
    # The bucket is a folder there; every worker has the words as they were given.
    ran = sorted((cloud / "ran.txt").read_text().splitlines())
    assert [line.split(":")[0] for line in ran] == ["first-worker-0", "first-worker-1"]
    assert all(
        f"--workdir {cloud}/first-worker-{i}/gcs/my-bucket/runs/first --set a.b='c d'"
        in line
        for i, line in enumerate(ran)
    )
    assert (cloud / "bucket/runs/first/step").read_text() == "4\n"
    assert not (cloud / "state").exists()


def test_the_workers_of_a_slice_are_one_run(cloud):
    tpu(*RUN)
    assert (cloud / "coordinators.txt").read_text() == "auto\nauto\n"


def test_a_bucket_is_reached_wherever_a_word_names_it(cloud):
    model = """import_model.source="gs://models/Qwen2.5-7B\""""
    ended = tpu(*RUN, "--keep", "--set", model)
    assert ended.returncode == 0, ended.stderr
    home = cloud / "first-worker-0"
    assert {p.name for p in (home / "gcs").iterdir()} == {"models", "my-bucket"}
    ran = (cloud / "ran.txt").read_text()
    assert f'import_model.source="{home}/gcs/models/Qwen2.5-7B"' in ran


def test_what_git_ignores_stays_here(cloud):
    tpu(*RUN, "--keep")
    sent = {p.name for p in (cloud / "first-worker-1" / "simex").iterdir()}
    assert {"launch", "experiments"} <= sent and "runs" not in sent
    assert (cloud / "state").read_text() == "ACTIVE"  # kept


def test_an_installation_keeps_the_environment_and_the_lock_of_who_uses_it(cloud):
    there = cloud / "first-worker-0" / "simex"
    for name in (".venv/whole", ".venv.in_use", "old.py"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text("before")
    lock = (there / ".venv.in_use").stat().st_ino
    assert tpu(*RUN, "--keep").returncode == 0
    assert (there / ".venv/whole").read_text() == "before"
    assert (there / ".venv.in_use").stat().st_ino == lock
    assert not (there / "old.py").exists()


@pytest.mark.slow
def test_after_a_preemption_a_new_slice_goes_on_from_the_checkpoint(cloud):
    (cloud / "events").write_text("3 preempt\n")
    ended = tpu(*RUN, "--spot")
    assert ended.returncode == 0, ended.stderr
    assert "first is SUSPENDED (0 of 20 restarts used)" in ended.stderr
    assert ended.stdout == "begins\nstep 1\nstep 2\nbegins\nstep 3\nstep 4\n"
    made = [v for v in verbs(cloud) if v in ("create", "delete")]
    assert made == ["create", "delete", "create", "delete"]


@pytest.mark.parametrize("state", ["SUSPENDED", "FAILED"])
def test_a_dead_slice_that_is_found_at_the_start_is_made_anew(cloud, state):
    (cloud / "state").write_text(state)
    ended = tpu(*RUN)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("step 4\n")
    made = [v for v in verbs(cloud) if v in ("create", "delete")]
    assert made == ["delete", "create", "delete"]  # the last gives the slice back


def test_a_slice_lost_too_often_ends_with_3(cloud):
    (cloud / "first_states").write_text("WAITING_FOR_RESOURCES FAILED")
    ended = tpu(*RUN, "--restarts", "2")
    assert ended.returncode == 3
    assert verbs(cloud).count("create") == 3
    assert "the request failed: no capacity" in ended.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            (
                "RESOURCE_EXHAUSTED: Quota limit 'TPUV5sPreemptibleLitepodPerProject' has "
                "been exceeded. Limit: 0 in region us-west4."
            ),
            "There is no quota for v5litepod-16 in us-west4-a as spot. Ask for it",
        ),
        (
            "INVALID_ARGUMENT: Accelerator type v5litepod-16 is not available in zone",
            "us-west4-a has no v5litepod-16. `gcloud compute tpus accelerator-types",
        ),
        (
            (
                "PERMISSION_DENIED: Permission 'tpu.queuedResources.create' denied on "
                "'projects/p/locations/us-west4-a' (or it may not exist)."
            ),
            "There is no zone us-west4-a with TPUs for this project.",
        ),
        (
            "PERMISSION_DENIED: Cloud TPU API has not been used in project 7 before",
            "Call `gcloud services enable tpu.googleapis.com`",
        ),
        (
            (
                "You do not currently have an active account selected. Please run: $ gcloud "
                "auth login"
            ),
            "gcloud is not signed in. Call `gcloud auth login`.",
        ),
        (
            "The required property [project] is not currently set.",
            "gcloud needs a project: --project",
        ),
        (
            "ALREADY_EXISTS: Resource 'x' already exists",
            "first is taken. Choose another",
        ),
        ("something new", "gcloud failed: ERROR: (gcloud.compute.tpus) something new"),
    ],
)
def test_a_refusal_of_gcloud_says_what_to_do(cloud, text, message):
    set_faults(cloud, create=[text])
    ended = tpu(*RUN, "--spot")
    assert ended.returncode == 2
    assert message in ended.stderr and text in ended.stderr
    assert "Traceback" not in ended.stderr
    assert verbs(cloud) == ["create"]


def test_a_network_that_is_away_for_a_while_ends_nothing(cloud):
    # What gcloud really says has words of other faults in it.
    away = (
        "There was a problem refreshing your current auth tokens: HTTPSConnectionPool("
        "host='oauth2.googleapis.com', port=443): Max retries exceeded with url: /token "
        "(Caused by NameResolutionError: Failed to resolve 'oauth2.googleapis.com'). "
        "Please run: $ gcloud auth login to obtain new credentials"
    )
    set_faults(cloud, describe=[away, away])
    ended = tpu(*RUN)
    assert ended.returncode == 0
    assert "try 2 of 5 failed: ERROR: (gcloud.compute.tpus) There was" in ended.stderr
    assert verbs(cloud).count("create") == 1
    set_faults(cloud, describe=[away] * 5)
    ended = tpu("status", *SHARED, "--poll-secs", "0.05")
    assert ended.returncode == 2
    assert "first was asked for, it is still there and costs money" in ended.stderr


def test_a_worker_that_answers_late_is_waited_for(cloud):
    set_faults(cloud, scp=["connection refused", "connection refused"])
    ended = tpu(*RUN)
    assert ended.returncode == 0
    assert "try 2 of 5 failed: ERROR: (gcloud.compute.tpus) connection" in ended.stderr
    assert verbs(cloud).count("create") == 1


def test_a_worker_that_never_answers_costs_the_slice(cloud):
    set_faults(cloud, scp=["worker 1: connection refused"] * 5)
    ended = tpu(*RUN)
    assert ended.returncode == 0
    assert "a worker of first does not answer (0 of 20 restarts used)" in ended.stderr
    assert verbs(cloud).count("create") == 2


def test_a_worker_that_cannot_install_is_no_reason_to_ask_for_another_slice(cloud):
    (cloud / "no_python").touch()
    ended = tpu(*RUN)
    assert ended.returncode == 2
    assert "A worker cannot do what it is to do; the slice first is" in ended.stderr
    assert "first-worker-1: this command failed here" in ended.stderr
    assert verbs(cloud) == ["create", "scp", "ssh"]


def test_keys_that_are_refused_are_not_a_broken_slice(cloud):
    set_faults(cloud, scp=["me@1.2.3.4: Permission denied (publickey)."] * 5)
    ended = tpu(*RUN)
    assert ended.returncode == 2 and "Call `ssh-add" in ended.stderr
    assert verbs(cloud).count("create") == 1


def test_a_run_that_fails_on_one_worker_ends_with_its_code(cloud):
    (cloud / "events").write_text("2 fail1\n")
    ended = tpu(*RUN)
    assert ended.returncode == 1
    assert "the run ended with exit code 1" in ended.stderr
    assert verbs(cloud).count("create") == 1 and verbs(cloud)[-1] == "delete"


def test_a_run_that_simex_refuses_is_not_tried_again(cloud):
    (cloud / "events").write_text("1 refuse\n")
    ended = tpu(*RUN)
    assert ended.returncode == 2
    assert ended.stdout == "begins\nsimex: no such thing\n"
    assert verbs(cloud).count("create") == 1


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stopped_command_leaves_the_run_and_takes_it_up_again(cloud):
    (cloud / "events").write_text("2 wait\n3 wait\n")
    ran = cloud / "ran.txt"
    with subprocess.Popen(
        ["launch/tpu.py", *RUN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        wait_until(lambda: ran.exists() and len(ran.read_text().splitlines()) == 2)
        assert first.stdout.readline() == "begins\n"
        first.send_signal(signal.SIGINT)
        _, err = first.communicate(timeout=30)
    assert first.returncode == 130
    assert "the slice first is still there and costs money" in err
    again = tpu(*RUN)
    assert again.returncode == 0
    assert again.stdout == "begins\nstep 1\nstep 2\nstep 3\nstep 4\n"
    assert verbs(cloud).count("create") == verbs(cloud).count("scp") == 1
    assert len(ran.read_text().splitlines()) == 2


def test_two_slices_are_two_nodes_of_one_request(cloud):
    ended = tpu(*RUN, "--slices", "2")
    assert ended.returncode == 0, ended.stderr
    (create,) = [call for call in read_calls(cloud) if call[1] == "create"]
    assert create[3:5] == ["--node-count=2", "--node-prefix=first"]
    workers = {
        line.split(":")[0] for line in (cloud / "ran.txt").read_text().splitlines()
    }
    assert workers == {f"first-{n}-worker-{w}" for n in (0, 1) for w in (0, 1)}


def test_status_names_every_worker(cloud):
    assert tpu("status", *SHARED).stdout == "first: MISSING\n"
    tpu(*RUN, "--keep")
    assert tpu("status", *SHARED).stdout == (
        "first: ACTIVE\nfirst-worker-0: exit 0\nfirst-worker-1: exit 0\n"
    )
    assert tpu("logs", *SHARED).stdout.endswith("step 4\n")
    assert tpu("delete", *SHARED).returncode == 0
    assert not (cloud / "state").exists()
    again = tpu("delete", *SHARED)
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "launch/tpu.py: there is no first in us-west4-a\n"
    ended = tpu("logs", *SHARED)
    assert ended.returncode == 2
    assert "first must be there to have a log; it is MISSING" in ended.stderr


def test_logs_end_with_the_exit_code_of_the_run(cloud):
    (cloud / "events").write_text("1 refuse\n")
    assert tpu(*RUN, "--keep").returncode == 2
    ended = tpu("logs", *SHARED)
    assert ended.stdout == "begins\nsimex: no such thing\n"
    assert ended.returncode == 2


def test_status_and_logs_know_the_nodes_of_several_slices(cloud):
    tpu(*RUN, "--slices", "2", "--keep")
    several = [*SHARED, "--slices", "2"]
    lines = tpu("status", *several).stdout.splitlines()
    workers = [f"first-{n}-worker-{w}" for n in (0, 1) for w in (0, 1)]
    assert lines == ["first: ACTIVE", *(f"{w}: exit 0" for w in workers)]
    assert tpu("logs", *several).stdout.endswith("step 4\n")


def test_a_slice_that_does_not_answer_is_a_sentence(cloud):
    (cloud / "state").write_text("ACTIVE")
    set_faults(cloud, ssh=["connection reset"] * 5)
    ended = tpu("status", *SHARED, "--poll-secs", "0.05")
    assert ended.returncode == 3 and "Traceback" not in ended.stderr
    assert "a worker of first does not answer" in ended.stderr


def test_a_dry_run_prints_every_command_and_calls_nothing(cloud):
    ended = tpu(*RUN, "--spot", "--dry-run")
    assert ended.returncode == 0 and not read_calls(cloud)
    printed = [line.split()[3:5] for line in ended.stdout.splitlines()]
    assert printed == [
        ["queued-resources", "describe"],
        ["queued-resources", "create"],
        ["queued-resources", "describe"],
        ["tpu-vm", "scp"],
        ["tpu-vm", "ssh"],
        ["tpu-vm", "ssh"],
        ["tpu-vm", "ssh"],
        ["tpu-vm", "ssh"],
        ["queued-resources", "delete"],
    ]
    assert tpu("delete", *SHARED, "--dry-run").stdout == (
        "gcloud compute tpus queued-resources delete first --force --zone=us-west4-a "
        "--quiet\n"
    )


def changed(**options: str) -> list[str]:
    words = list(RUN)
    for name, value in options.items():
        words[words.index(f"--{name}") + 1] = value
    return words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (changed(type="tpu7x-64"), "rented through Kubernetes only; use launch/xm.py"),
        (changed(type="v9-8"), "--type must begin with v6e, v5p, v5litepod, v4"),
        (
            [*changed(workdir="/nfs/a"), "--spot"],
            "--workdir must be gs://BUCKET/FOLDER",
        ),
        (changed(workdir="runs/a"), "the disk of a slice goes with it"),
        (changed(workdir="gs://bucket"), "--workdir must be gs://BUCKET/FOLDER"),
        ([*RUN[:1], "no.gin", *RUN[2:]], "EXPERIMENT must be a file of this checkout"),
        ([*RUN, "--slices", "0"], "--slices must be at least 1"),
        (["status", *SHARED, "--sopt"], "unknown words: --sopt"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_paid_for(cloud, words, message):
    ended = tpu(*words)
    assert ended.returncode == 2 and message in ended.stderr
    assert not read_calls(cloud)


def test_without_gcloud_it_says_so(cloud, monkeypatch):
    python = pathlib.Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{python}")
    ended = subprocess.run(
        [sys.executable, "launch/tpu.py", "delete", *SHARED],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "gcloud must be installed; it is not on PATH" in ended.stderr


def test_the_help_shows_the_one_command():
    ended = subprocess.run(
        [LAUNCH / "tpu.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "launch/tpu.py run experiments/quickstart.gin --name first" in ended.stdout
    assert "gcloud auth login" in ended.stdout
