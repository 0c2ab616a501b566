"""The same workers on many machines: one Ray actor holds one jailed worker.

The driver connects to a cluster that runs already: the one that `RAY_ADDRESS` names,
else one on this machine. Each machine must have simex installed, with the driver's
Python, and chooses the strongest jail that it can do itself. Reference: Moritz et al.,
"Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

import contextlib
import dataclasses
import importlib.util
import os
import socket
from typing import Any

from simex.core.errors import InfraError
from simex.sandbox import interpreter
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.worker import Worker, find_patience_secs

_KNOCK_SECS = 10.0
_START_SECS = 100.0  # for a free CPU and a jail on it; less than a driver gets to start


class RayCluster:
    """Ray is an optional extra and imported only where this backend is asked for."""

    name = "ray"
    is_for_auto = False  # other machines are used only when somebody says so

    def why_unavailable(self) -> str | None:
        if importlib.util.find_spec("ray") is None:
            return "ray is not installed (the extra `cluster` of simex brings it)"
        return None

    def count_cores(self) -> int:
        """Of the whole cluster. Raises InfraError where there is none."""
        ray = connect()
        return max(1, int(ray.cluster_resources().get("CPU", 0)))

    def start(self, slot: int, switched_off: frozenset[str] = frozenset()) -> Worker:
        """Raises InfraError where the cluster has no room or its machine no jail."""
        ray = connect()
        try:
            actor_class = ray.remote(num_cpus=1, max_restarts=0)(JailedWorker)
            actor = actor_class.remote(slot, switched_off)
            return RayWorker(ray, actor)
        except ray.exceptions.RayError as error:
            raise InfraError(f"ray: {error}") from None


def connect() -> Any:
    """The module `ray`, connected. Raises InfraError where there is no cluster."""
    import ray

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS", "auto")
        try:
            _knock(address)
            ray.init(
                address=address,
                configure_logging=False,
                log_to_driver=False,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise InfraError(
                f"ray: no cluster to connect to ({error}). Start one with "
                "`ray start --head`, or set RAY_ADDRESS."
            ) from None
    return ray


def _knock(address: str) -> None:
    """Raises OSError at once where nobody is at home; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECS).close()


class JailedWorker:
    """The actor: lives in a process of its own on some machine of the cluster.

    Ray calls an actor by one thread only, so the jail's starter outlives the jail.
    """

    def __init__(self, slot: int, switched_off: frozenset[str]):
        from simex.sandbox.backends import choose_backend  # it imports this module

        self._backend = choose_backend()
        self._worker = self._backend.start(slot, switched_off)

    def describe(self) -> tuple[str, str]:
        """The kind of jail and the version of its interpreter."""
        return self._backend.name, self._worker.python_version

    def run(self, request: RunRequest) -> tuple[RunOutcome, bool]:
        """The outcome, and whether the worker is worn."""
        return self._worker.run(request), self._worker.is_worn


class RayWorker:
    """An actor as the driver sees it."""

    def __init__(self, ray: Any, actor: Any):
        self._ray, self._actor = ray, actor
        self.is_worn = False
        jail, self.python_version = self._get(actor.describe.remote(), _START_SECS)
        self.backend = f"ray:{jail}"
        expected = interpreter.find_interpreter().version
        if self.python_version != expected:
            self.close()
            raise InfraError(
                "All machines of the cluster must run programs by the driver's Python "
                f"{expected}; one has {self.python_version}."
            )

    def run(self, request: RunRequest) -> RunOutcome:
        """Raises InfraError if the actor, its machine or its jail fails."""
        patience = find_patience_secs(request.limits)
        outcome, self.is_worn = self._get(self._actor.run.remote(request), patience)
        return dataclasses.replace(outcome, backend=self.backend)

    def _get(self, reference: Any, timeout_secs: float) -> Any:
        try:
            return self._ray.get(reference, timeout=timeout_secs)
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()
            raise InfraError(f"ray: {reason[-1] if reason else error!r}") from None

    def kill(self) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor)

    def close(self) -> None:
        self.kill()
