"""launch/xm.py by xmanager itself: runs here, and manifests sent to an API server."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-xm"

pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / "xm.lock").exists(),
    reason="xmanager is not installed; launch/xm_env does it",
)

FAKE_SIMEX = """#!/bin/bash
echo "runs $*"
echo "$*" >>ran.txt
[[ $* != *fail* ]]
"""
GKE = [
    *["experiments/smoke.gin", "--executor", "kubernetes", "--image", "gcr.io/p/simex"],
    *["--workdir", "gs://bucket/runs/a"],
]


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> pathlib.Path:
    """A small checkout with a simex that notes its words, in a home of its own."""
    shutil.copytree(ROOT / "launch", tmp_path / "launch")
    (tmp_path / ".venv-xm").symlink_to(ENVIRONMENT)
    local = tmp_path / "launch/local"
    local.write_text(FAKE_SIMEX)
    local.chmod(0o755)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/smoke.gin").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # xmanager's database lies there
    monkeypatch.delenv("PYTHONPATH")
    return tmp_path


def xm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["launch/xm.py", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_run_on_this_machine_has_the_words_of_simex(checkout):
    ended = xm("experiments/smoke.gin", "--workdir", "runs/a b", "--set", "a.b='c d'")
    assert ended.returncode == 0, ended.stderr
    ran = (checkout / "ran.txt").read_text()
    assert ran == "run experiments/smoke.gin --workdir runs/a b --set a.b='c d'\n"
    assert "runs run experiments/smoke.gin" in ended.stdout  # its output is shown
    assert (checkout / ".xmanager/experiments.sqlite3").exists()


def test_the_runs_of_a_sweep_are_one_experiment_and_one_that_fails_is_named(checkout):
    jobs = [
        {"name": f"crop={crop}", "words": ["run", "x.gin", "--workdir", f"runs/{crop}"]}
        for crop in ("oat", "fail", "rye")
    ]
    pathlib.Path("jobs.json").write_text(json.dumps(jobs))
    ended = xm("--jobs", "jobs.json", "--parallel", "2", "--set", "a=1", "--set", "b=2")
    assert ended.returncode == 1
    lines = (checkout / "ran.txt").read_text().splitlines()
    assert {line.split("/")[-1] for line in lines} == {
        f"{crop} --set a=1 --set b=2" for crop in ("oat", "fail", "rye")
    }
    assert "1 of 3 runs failed: crop=fail. The same command continues" in ended.stderr


# Words of a dry run -> (exit code, stdout, stderr). xmanager takes seconds to import, so
# one process answers for all.
MANIFESTS = {
    "4x4": [*GKE, "--tpu", "v5e:4x4", "--spot", "--set", 'a.b="gs://bucket/Qwen"'],
    "v6e:2x4": ["smoke.gin", *GKE[1:], "--tpu", "v6e:2x4"],  # as simex run finds it
    "v7x:4x4x4": [*GKE, "--tpu", "v7x:4x4x4"],
    "v5p:2x2x1": [*GKE, "--tpu", "v5p:2x2x1"],
    "h100:8": [*GKE, "--gpu", "h100:8"],
}
VERTEX = ["experiments/smoke.gin", "--executor", "vertex", *GKE[3:]]
MACHINES = {
    "TPU_V3 x 8": [*VERTEX, "--tpu", "v3:8"],
    "NVIDIA_TESLA_A100 x 8": [*VERTEX, "--gpu", "a100:8"],
}
REFUSALS = {
    "can ask Vertex AI for TPU v2 and v3 only, by cores (v3:8); got v5e:8": [
        *[*VERTEX, "--tpu", "v5e:8"],
    ],
    "--gpu must be of a type of t4, v100, l4, a100, a100-80gb, h100, h200, b200; got": [
        *[*GKE, "--gpu", "h10:8"],
    ],
    "--image must name an image": [*GKE[:3], *GKE[5:], "--tpu", "v5e:4x4"],
    "--tpu must be TYPE:TOPOLOGY": [*GKE, "--tpu", "v5e"],
    "with a type of v4, v5e": [*GKE, "--tpu", "v9:2x2"],
    "v5p:1x1x3 has 3 chips; a host has 4": [*GKE, "--tpu", "v5p:1x1x3"],
    "A slice of v5p has three dimensions, e.g. 2x2x2; got v5p:4x4": [
        *[*GKE, "--tpu", "v5p:4x4"],
    ],
    "A slice of v5e has two dimensions, e.g. 4x4; got v5e:2x2x2": [
        *[*GKE, "--tpu", "v5e:2x2x2"],
    ],
    "An experiment must be a file of this checkout": [
        *["/etc/hosts", *GKE[1:], "--tpu", "v5e:4x4"],
    ],
    "--parallel must be at least 1; got 0": ["x.gin", *GKE[-2:], "--parallel", "0"],
    "must be of a type that xmanager knows": [*VERTEX, "--gpu", "a100-80gb:8"],
    "--tpu and --gpu exclude each other": [*GKE, "--tpu", "v5e:4x4", "--gpu", "h100:8"],
    "on this machine a run uses what is there": [
        *["x.gin", "--workdir", "runs/a", "--tpu", "v5e:4x4"]
    ],
    "Name either an experiment or, with --jobs, a file": [],
    "--workdir must say where": ["x.gin"],
    "the disk of a container goes with it. Got runs/a": [*GKE[:-1], "runs/a"],
    "A job can use one bucket; got bucket, models": [
        *[*GKE, "--tpu", "v5e:4x4", "--set", 'a.b="gs://models/Qwen"'],
    ],
}
ASK = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
import xm
answers = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = xm.main([*words, "--dry-run"])
    answers.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[int, str, str]]:
    """Exit code, stdout and stderr for each of the words above."""
    asked = MANIFESTS | MACHINES | REFUSALS
    ended = subprocess.run(
        [ENVIRONMENT / "bin/python", "-c", ASK, str(ROOT / "launch")],
        input=json.dumps(list(asked.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(zip(asked, json.loads(ended.stdout), strict=True))


def test_a_slice_is_a_job_with_a_pod_for_each_host(answers):
    made = yaml.safe_load(answers["4x4"][1])
    assert made["spec"]["completions"] == made["spec"]["parallelism"] == 4
    assert made["spec"]["completionMode"] == "Indexed"
    pod = made["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
        "cloud.google.com/gke-spot": "true",
    }
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"google.com/tpu": "4"}
    words = ["run", "experiments/smoke.gin", "--workdir", "/gcs/bucket/runs/a"]
    assert container["args"] == [*words, "--set", 'a.b="/gcs/bucket/Qwen"']
    assert container["env"] == [{"name": "SIMEX_COORDINATOR", "value": "auto"}]
    assert container["volumeMounts"] == [{"mountPath": "/gcs/bucket", "name": "bucket"}]
    assert pod["volumes"][0]["csi"]["volumeAttributes"]["bucketName"] == "bucket"


@pytest.mark.parametrize(
    ("wanted", "hosts", "resource", "count"),
    [
        ("v6e:2x4", 1, "google.com/tpu", "8"),
        ("v7x:4x4x4", 16, "google.com/tpu", "4"),
        ("v5p:2x2x1", 1, "google.com/tpu", "4"),
        ("h100:8", 1, "nvidia.com/gpu", "8"),
    ],
)
def test_the_topology_decides_hosts_and_chips(answers, wanted, hosts, resource, count):
    made = yaml.safe_load(answers[wanted][1])
    assert made["spec"]["completions"] == hosts
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {resource: count}
    assert container["args"][:2] == ["run", "experiments/smoke.gin"]
    env = {one["name"]: one["value"] for one in container.get("env", ())}
    assert ("SIMEX_COORDINATOR" in env) == (hosts > 1)  # one host has nobody to meet
    driver = "/usr/local/nvidia/lib64" if wanted == "h100:8" else None
    assert env.get("LD_LIBRARY_PATH") == driver
    (rule,) = made["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and rule["onExitCodes"]["values"] == [2]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_vertex_job_is_one_that_xmanager_takes(answers, machine):
    code, out, err = answers[machine]
    assert code == 0, err
    assert (
        out
        == f"smoke: run experiments/smoke.gin --workdir /gcs/bucket/runs/a on {machine}\n"
    )


@pytest.mark.parametrize("message", REFUSALS)
def test_what_cannot_work_is_refused(answers, message):
    code, out, err = answers[message]
    assert code == 2 and message in err, out + err


class ApiServer(http.server.BaseHTTPRequestHandler):
    """Takes what a Kubernetes API server would, and keeps it."""

    posted: list[tuple[str, dict]]

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.endswith("/services"):
            self._answer({"kind": "ServiceList", "apiVersion": "v1", "items": []})
            return
        jobs = [body for at, body in self.posted if at == path]
        running = [job | {"status": {"active": 1}} for job in jobs]
        self._answer({"kind": "JobList", "apiVersion": "batch/v1", "items": running})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.posted.append((self.path, body))
        self._answer(body)

    def _answer(self, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def cluster(checkout, monkeypatch):
    """What was posted to the API server that the kubeconfig names."""
    posted: list[tuple[str, dict]] = []
    handler = type("Handler", (ApiServer,), {"posted": posted})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": f"http://127.0.0.1:{server.server_port}"},
                }
            ],
        }
        path = checkout / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield posted
        server.shutdown()


def test_xmanager_sends_the_job_and_its_service_to_the_cluster(cluster):
    ended = xm(*GKE, "--tpu", "v5p:2x2x2")
    assert ended.returncode == 0, ended.stderr
    paths = [path for path, _ in cluster]
    assert paths == [
        "/api/v1/namespaces/default/services",
        "/apis/batch/v1/namespaces/default/jobs",
    ]
    job = cluster[1][1]
    assert job["spec"]["completions"] == 2
    assert f"kubectl logs --follow job/{job['metadata']['name']}" in ended.stdout
    # It runs: a second one would write the same workdir.
    again = xm(*GKE, "--tpu", "v5p:2x2x2")
    assert again.returncode == 2 and len(cluster) == 2
    assert f"kubectl delete job/{job['metadata']['name']}" in again.stderr


def test_without_xmanager_it_says_how_to_get_it(checkout):
    (checkout / ".venv-xm").unlink()
    ended = subprocess.run(
        [sys.executable, "launch/xm.py", "x.gin"],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        check=False,
    )
    assert ended.returncode == 1 and "call launch/xm_env once" in ended.stderr
