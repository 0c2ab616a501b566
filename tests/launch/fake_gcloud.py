"""Stands for gcloud: keeps one queued resource in a folder, and runs what is sent by ssh.

Every worker is a folder that is its home. The folder of $FAKE_GCLOUD holds:
  calls.jsonl   every call, one list of words a line
  state         of the queued resource; absent: there is none
  coming        the states that the next questions are answered with, one a line
  faults.json   {"WORD": [text, ...]}: the next call with that word fails with that text
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

FAKE = pathlib.Path(os.environ["FAKE_GCLOUD"])
WORKERS = ("0", "1")
STATE = FAKE / "state"


def main(words: list[str]) -> int:
    with open(FAKE / "calls.jsonl", "a") as file:
        file.write(json.dumps(words) + "\n")
    assert words[:2] == ["compute", "tpus"] and "--quiet" in words
    assert any(word.startswith("--zone=") for word in words)
    verb = words[3]
    fail_if_told(verb)
    return ACTIONS[verb](words[4], words)


def fail_if_told(verb: str) -> None:
    path = FAKE / "faults.json"
    faults = json.loads(path.read_text()) if path.exists() else {}
    if faults.get(verb):
        text = faults[verb].pop(0)
        path.write_text(json.dumps(faults))
        sys.exit(f"ERROR: (gcloud.compute.tpus) {text}")


def create(name: str, words: list[str]) -> int:
    if STATE.exists():
        sys.exit(f"ERROR: Resource '{name}' already exists")
    STATE.write_text("WAITING_FOR_RESOURCES")
    coming = FAKE / "first_states"
    shutil.copy(coming, FAKE / "coming")
    return 0


def not_found(name: str) -> NoReturn:
    where = f"projects/p/locations/z/queuedResources/{name}"
    sys.exit(f"ERROR: NOT_FOUND: Resource '{where}' was not found")


def describe(name: str, words: list[str]) -> int:
    assert "--format=json" in words
    if not STATE.exists():
        not_found(name)
    coming = FAKE / "coming"
    left = coming.read_text().split() if coming.exists() else []
    if left:
        STATE.write_text(left[0])
        coming.write_text("\n".join(left[1:]))
    state = {"state": STATE.read_text()}
    if state["state"] == "FAILED":
        state["failedData"] = {"error": {"code": 8, "message": "no capacity"}}
    print(json.dumps({"name": name, "state": state}))
    return 0


def delete(name: str, words: list[str]) -> int:
    assert "--force" in words
    if not STATE.exists():
        not_found(name)
    STATE.unlink()
    for home in FAKE.glob("*-worker-*"):  # a new slice has new disks
        pid = home / "simex-run" / "pid"
        if pid.exists():
            try:
                os.killpg(int(pid.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(home)
    return 0


def chosen(node: str, words: list[str]) -> list[pathlib.Path]:
    """The homes of the workers that a call names."""
    if STATE.read_text() != "ACTIVE":
        sys.exit(f"ERROR: node {node} is not in state READY")
    (worker,) = [w.partition("=")[2] for w in words if w.startswith("--worker=")]
    homes = [FAKE / f"{node}-worker-{i}" for i in WORKERS if worker in (i, "all")]
    for home in homes:
        home.mkdir(exist_ok=True)
    return homes


def scp(source: str, words: list[str]) -> int:
    node = re.fullmatch("(.+):", words[5])
    assert node
    for home in chosen(node[1], words):
        shutil.copy(source, home)
    return 0


def ssh(node: str, words: list[str]) -> int:
    (command,) = [w.partition("=")[2] for w in words if w.startswith("--command=")]
    for home in chosen(node, words):
        environment = os.environ | {
            "HOME": str(home),
            "WORKER": home.name,
            "PATH": f"{FAKE / 'worker_bin'}:{os.environ['PATH']}",
        }
        ended = subprocess.run(
            ["bash", "-c", command], cwd=home, env=environment, check=False
        )
        if ended.returncode:
            return ended.returncode
    return 0


ACTIONS = {
    "create": create,
    "describe": describe,
    "delete": delete,
    "scp": scp,
    "ssh": ssh,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
