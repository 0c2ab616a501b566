"""Compiles programs in a process of their own, and another when that one dies."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence

from simex.core.errors import UserError
from simex.plans.compile_process import Request
from simex.plans.report import ProgramReport, Refusal, from_json
from simex.plans.topology import CPU

MAX_REASON = 300  # characters of what a compiler said
_MODULE = "simex.plans.compile_process"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): ")  # of a traceback


def compile_all(
    requests: Sequence[Request],
    *,
    say: Callable[[ProgramReport], None] = lambda report: None,
) -> list[ProgramReport]:
    """One report a request, in order; `say` is called as each comes in.

    Where the compiler itself dies, by a crash or for want of memory on this machine, the
    program that it was at is reported as refused, and the rest is compiled by another.
    """
    reports: list[ProgramReport] = []
    while len(reports) < len(requests):
        todo = requests[len(reports) :]
        done, death = _run(todo, say)
        reports += done
        if len(done) < len(todo):
            request = todo[len(done)]
            report = ProgramReport(
                stage=request.stage.name,
                program=request.program,
                refusal=Refusal(reason=death),
            )
            say(report)
            reports.append(report)
    return reports


def _run(
    requests: Sequence[Request], say: Callable[[ProgramReport], None]
) -> tuple[list[ProgramReport], str]:
    """The reports that one process gave, and how it ended."""
    reports: list[ProgramReport] = []
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(requests[0]),
        )
        with process:
            assert process.stdin and process.stdout
            pickle.dump([tuple(request) for request in requests], process.stdin)
            process.stdin.close()
            for line in process.stdout:
                reports.append(from_json(json.loads(line)))
                say(reports[-1])
        stderr.seek(0)
        errors = stderr.read().decode(errors="replace")
    if len(reports) == len(requests):
        return reports, ""
    return reports, _death(process.returncode, errors)


def _death(code: int, errors: str) -> str:
    if code == -signal.SIGKILL:
        return "the compiler was killed: this machine has too little memory for it"
    if code < 0:
        return f"the compiler crashed ({signal.Signals(-code).name})"
    lines = errors.strip().splitlines() or ["nothing"]
    # jax and compilers add lines of their own behind that of the exception.
    said = [line for line in lines if _EXCEPTION.match(line)] or lines
    if said[-1].startswith("simex.core.errors.UserError: "):
        raise UserError(said[-1].split(": ", 1)[1])
    reason = textwrap.shorten(said[-1], MAX_REASON, placeholder=" ...")
    return f"the compiler stopped with code {code} and said: {reason}"


def _environment(request: Request) -> dict[str, str]:
    """Of a process that sees no accelerator and as many CPU devices as it needs."""
    topology = request.topology
    devices = topology.num_devices if topology.kind == CPU else 1
    flag = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flag,
        # libtpu: ask no metadata server where it runs; let others load it, too.
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_STDERR_LOG_LEVEL": "3",
        "TPU_MIN_LOG_LEVEL": "3",
    }
