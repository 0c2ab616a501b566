"""A slice of Cloud TPUs by way of gcloud: asked for, waited for, used, given back."""

import json
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
WAITING = ("CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING")
FAILED = "this command failed here"  # printed after a command that did
NUM_TRIES = 5  # to reach every worker, while the slice is there
EXIT_TERMINATED = 143  # of `simex` after SIGTERM: it saved, and can go on
LOST = ("FAILED", "SUSPENDING", "SUSPENDED", "DELETING", "MISSING")
# The image of each kind of accelerator, by how its name begins.
IMAGES = {
    "v6e": "v2-alpha-tpuv6e",
    "v5p": "v2-alpha-tpuv5",
    "v5litepod": "v2-alpha-tpuv5-lite",
    "v4": "tpu-ubuntu2204-base",
    "v3": "tpu-ubuntu2204-base",
    "v2": "tpu-ubuntu2204-base",
}
# What gcloud says of a network that is away, among much else: it is asked again.
TRANSIENT = (
    r"max retries exceeded|failed to resolve|name resolution|"
    r"connection ?(error|timeout|reset|refused|aborted)|network connectivity|"
    r"timed out|unavailable\b"
)
# What gcloud says, and what to do about it. The first pattern that is found counts.
FAULTS = {
    r"quota|RESOURCE_EXHAUSTED": (
        "There is no quota for {type} in {zone}{spot}. Ask for it (console: IAM, "
        "Quotas, filter 'TPU'), or choose another --zone or --type."
    ),
    r"accelerator.?type.*(not found|not available|invalid|not supported)": (
        "{zone} has no {type}. `gcloud compute tpus accelerator-types list "
        "--zone={zone}` lists what it has."
    ),
    r"(zone|location).*(not found|invalid|unknown|does not exist)|may not exist": (
        "There is no zone {zone} with TPUs for this project. "
        "`gcloud compute tpus locations list` names them."
    ),
    r"already exists": "{name} is taken. Choose another --name, or delete it.",
    r"auth login|active account|credential|reauth": (
        "gcloud is not signed in. Call `gcloud auth login`."
    ),
    r"PERMISSION_DENIED|has not been used|disabled": (
        "This project may not use Cloud TPU yet. Call `gcloud services enable "
        "tpu.googleapis.com`; the account needs the role TPU Admin."
    ),
    r"property \[.*project\]|project.*(not found|invalid|must be)": (
        "gcloud needs a project: --project, or `gcloud config set project NAME`."
    ),
}


class Refused(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


class SliceLost(Exception):
    """The slice was preempted or failed; a new one can go on."""


def image_of(kind):
    """The image of an accelerator type; None if it is not known."""
    return next((v for k, v in IMAGES.items() if kind.startswith(k + "-")), None)


class Slice:
    """One queued resource with its nodes (one a slice) and their workers."""

    def __init__(self, options):
        self.options = options
        self.name = options.name
        self.flags = [f"--zone={options.zone}", "--quiet"]
        if options.project:
            self.flags.append(f"--project={options.project}")

    @property
    def nodes(self):
        """Names of the nodes, each with workers 0, 1, ..."""
        count = self.options.slices
        return [self.name] if count == 1 else [f"{self.name}-{i}" for i in range(count)]

    def run_once(self, more):
        """The exit code of the run; raises SliceLost if the slice goes first."""
        state = self.state()
        if state in LOST and state != "MISSING":
            self.delete()
        if state in LOST:
            self.create()
        self.wait()
        if state != "ACTIVE" or set(self.statuses()) != {"runs"}:
            words = ["run", self.options.experiment, "--workdir", self.options.workdir]
            words += more
            self.install(buckets_of(words))
            self.on_workers(worker_command("start", *words))
        return self.follow()

    def state(self):
        """The state of the queued resource, as gcloud names it; MISSING for none.

        A complaint that nobody knows, as of a network that is away, is asked again.
        """
        for attempt in range(NUM_TRIES):
            ended = self.gcloud(
                "queued-resources", "describe", self.name, "--format=json"
            )
            if self.options.dry_run or self.is_missing(ended):
                return "MISSING"
            if ended.returncode == 0:
                break
            if is_known(ended.stderr):
                raise self.refusal(ended.stderr)
            say(f"try {attempt + 1} of {NUM_TRIES} failed: {last_line(ended.stderr)}")
            time.sleep(self.options.poll_secs)
        else:
            raise Refused(
                f"{self.refusal(ended.stderr)}\nIf {self.name} was asked for, it is "
                "still there and costs money: the same command goes on with it, "
                "`delete` gives it back."
            )
        state = json.loads(ended.stdout).get("state", {})
        if state.get("state") == "FAILED":
            why = state.get("failedData", {}).get("error", {}).get("message", "")
            say(f"the request failed: {why or 'no reason is given'}")
        return state.get("state", "CREATING")

    def create(self):
        """Asks for the slice."""
        options, price = self.options, []
        if options.spot or options.reserved:
            price = ["--spot" if options.spot else "--reserved"]
        nodes = [f"--node-id={self.name}"]
        if options.slices > 1:
            nodes = [f"--node-count={options.slices}", f"--node-prefix={self.name}"]
        self.gcloud_or_refuse(
            "queued-resources", "create", self.name, *nodes,
            f"--accelerator-type={options.type}",
            f"--runtime-version={options.runtime_version or image_of(options.type)}",
            *price,
        )  # fmt: skip

    def delete(self):
        """Gives the slice back, whatever state it is in."""
        ended = self.gcloud("queued-resources", "delete", self.name, "--force")
        if self.is_missing(ended):
            say(f"there is no {self.name} in {self.options.zone}")
        elif ended.returncode:
            raise self.refusal(ended.stderr)

    def is_missing(self, ended):
        """Whether gcloud says that there is no such queued resource."""
        missing = rf"queuedResources/{re.escape(self.name)}\b.*not found"
        found = re.search(missing, ended.stderr, re.IGNORECASE | re.DOTALL)
        return bool(ended.returncode and found)

    def wait(self):
        """Until the slice is there; says each change of state."""
        before, begin = None, time.monotonic()
        while (state := self.state()) != "ACTIVE" and not self.options.dry_run:
            if state in LOST:
                raise SliceLost(f"{self.name} is {state}")
            if state != before:
                say(f"{self.name}: {state}")
            before = state
            time.sleep(self.options.poll_secs)
        if not self.options.dry_run:
            say(f"{self.name}: there after {round(time.monotonic() - begin)} s")

    def install(self, buckets):
        """Puts this checkout and `buckets` on every worker; makes its environment."""
        words = worker_command("install", *buckets)
        with tempfile.TemporaryDirectory() as folder:
            archive = pathlib.Path(folder) / "simex.tar.gz"
            if not self.options.dry_run:
                pack(archive)
            for node in self.nodes:
                self.retried("scp", str(archive), f"{node}:", "--worker=all")
        # What an earlier checkout left there would be taken for a part of this one. Not
        # the environment, nor the file that a command which uses it holds a lock on.
        kept = "! -name .venv ! -name .venv.in_use"
        clear = f"find simex -mindepth 1 -maxdepth 1 {kept} -exec rm -rf {{}} +"
        unpack = f"mkdir -p simex && {clear} && tar -xzf simex.tar.gz -C simex && "
        self.on_workers(unpack + words)

    def follow(self):
        """Shows the log of the first worker until all have ended; the exit code."""
        line = 1
        while True:
            line += self.stream(worker_command("follow", str(line)))[1]
            found = self.statuses()
            if self.options.dry_run:
                return 0
            if "runs" not in found:
                break
            time.sleep(self.options.poll_secs)
        codes = [int(s.split()[1]) for s in found if s.startswith("exit ")]
        if len(codes) == len(found) and set(codes) <= {0, 2}:
            return max(codes)
        for _ in range(3):  # was it the slice? Its state changes a little later
            if (state := self.state()) in LOST:
                raise SliceLost(f"{self.name} is {state}")
            time.sleep(self.options.poll_secs)
        if len(codes) < len(found) or EXIT_TERMINATED in codes:
            raise SliceLost(f"a worker was stopped from outside ({', '.join(found)})")
        return max(codes)

    def statuses(self):
        """What each worker says of its run: "runs", "exit 0", "killed", "not started"."""
        printed = self.on_workers(worker_command("status"))
        return re.findall(
            r": (runs|exit \d+|killed|not started)$", printed, re.MULTILINE
        )

    def on_workers(self, command):
        """The same command on every worker of every node; all that they print.

        Raises Refused where it fails: it would on another slice, too. That ssh fails
        is another thing.
        """
        marked = f'({command}) 2>&1 || echo "$(hostname): {FAILED}"'
        printed = "".join(
            self.retried("ssh", node, "--worker=all", f"--command={marked}")
            for node in self.nodes
        )
        if FAILED in printed:
            lines = "\n".join(printed.splitlines()[-10:])
            raise Refused(
                f"A worker cannot do what it is to do; the slice {self.name} is still "
                f"there and costs money. The command: {command}\n{lines}"
            )
        return printed

    def retried(self, *words):
        """`gcloud compute tpus tpu-vm`; a worker may be slow to answer, or be gone."""
        for attempt in range(NUM_TRIES):
            ended = self.gcloud("tpu-vm", *words)
            if ended.returncode == 0:
                return ended.stdout
            if (state := self.state()) in LOST:
                raise SliceLost(f"{self.name} is {state}")
            say(f"try {attempt + 1} of {NUM_TRIES} failed: {last_line(ended.stderr)}")
            time.sleep(self.options.poll_secs)
        if re.search("publickey", ended.stderr):
            raise Refused(
                "The workers refuse the SSH key. Call `ssh-add ~/.ssh/"
                f"google_compute_engine`, or once `gcloud compute tpus tpu-vm ssh "
                f"{self.name} --zone={self.options.zone}`, which makes one."
            )
        raise SliceLost(f"a worker of {self.name} does not answer")

    def stream(self, command):
        """Prints what the first worker prints, as it comes: (exit code, lines)."""
        words = self.command("tpu-vm", "ssh", self.nodes[0], "--worker=0",
                             f"--command={command}")  # fmt: skip
        if self.options.dry_run:
            return 0, 0
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            num_lines = 0
            for line in process.stdout:
                print(line, end="", flush=True)
                num_lines += line.endswith("\n")
        return process.returncode, num_lines

    def gcloud_or_refuse(self, *words):
        ended = self.gcloud(*words)
        if ended.returncode:
            raise self.refusal(ended.stderr)

    def gcloud(self, *words):
        command = self.command(*words)
        if self.options.dry_run:
            return subprocess.CompletedProcess(command, 0, "", "")
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def command(self, *words):
        command = ["gcloud", "compute", "tpus", *words, *self.flags]
        if self.options.dry_run:
            print(shlex.join(command))
        return command

    def refusal(self, stderr):
        """gcloud's complaint with what to do about it."""
        options = vars(self.options)
        facts = {"type": "TPUs", "spot": "", **options}
        facts["spot"] = " as spot" if options.get("spot") else ""
        for pattern, advice in FAULTS.items():
            if is_transient(stderr):
                break
            if re.search(pattern, stderr, re.IGNORECASE | re.DOTALL):
                return Refused(f"{advice.format(**facts)}\ngcloud: {stderr.strip()}")
        return Refused(f"gcloud failed: {stderr.strip()}")


def is_known(stderr):
    """Whether something else than asking again helps."""
    if is_transient(stderr):
        return False
    return any(re.search(p, stderr, re.IGNORECASE | re.DOTALL) for p in FAULTS)


def is_transient(stderr):
    """Whether gcloud did not reach what it asked."""
    return bool(re.search(TRANSIENT, stderr, re.IGNORECASE))


def buckets_of(words):
    """The buckets that any of the words names, wherever in it."""
    return sorted({b for w in words for b in re.findall(r"gs://([a-z0-9._-]+)", w)})


def worker_command(*words):
    """A command for a worker, which has the checkout in ~/simex."""
    return shlex.join(["simex/launch/tpu_worker", *words])


def pack(archive):
    """This checkout, uncommitted changes included; what git ignores stays here."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    found = subprocess.run(listing, capture_output=True, text=True, check=False)
    if found.returncode:
        raise Refused(f"{ROOT} must be a git checkout: {found.stderr.strip()}")
    with tarfile.open(archive, "w:gz") as tar:
        for name in sorted(set(filter(None, found.stdout.split("\0")))):
            if (ROOT / name).exists():  # not if it was deleted and not yet committed
                tar.add(ROOT / name, arcname=name)


def last_line(text):
    return (text.strip().splitlines() or ["no message"])[-1]


def say(line):
    print(f"launch/tpu.py: {line}", file=sys.stderr, flush=True)
