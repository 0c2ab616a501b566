"""Ways to run a program where it can do no harm, strongest first."""

import functools
import logging
from typing import Protocol

from simex.core.errors import InfraError, UserError
from simex.sandbox.backends.bare import Bare
from simex.sandbox.backends.bubblewrap import Bubblewrap
from simex.sandbox.backends.ray_cluster import RayCluster
from simex.sandbox.backends.unsafe import Unsafe
from simex.sandbox.outcome import RunRequest
from simex.sandbox.worker import Worker

NO_JAIL_WARNING = (
    "simex runs untrusted programs WITHOUT A JAIL (backend 'unsafe'): they can read "
    "your files and use your network."
)
logger = logging.getLogger(__name__)


class Backend(Protocol):
    """Starts workers of one kind."""

    name: str
    is_for_auto: bool  # whether "auto" may choose it

    def why_unavailable(self) -> str | None:
        """A reason that can be seen without starting anything, or None."""

    def count_cores(self) -> int:
        """How many workers it can keep busy. Raises InfraError."""

    def start(self, slot: int, switched_off: frozenset[str] = frozenset()) -> Worker:
        """A worker; `slot` tells those of one pool apart. Raises InfraError."""


_ALL: tuple[Backend, ...] = (
    Bubblewrap(name="bubblewrap", uses_user_namespace=False),
    Bubblewrap(name="bubblewrap_userns", uses_user_namespace=True),
    Bare(),
    RayCluster(),
    Unsafe(),
)
BACKENDS: dict[str, Backend] = {backend.name: backend for backend in _ALL}


@functools.cache
def why_not_working(name: str) -> str | None:
    """Start a worker of this kind and run one program; None if that works."""
    backend = BACKENDS[name]
    reason = backend.why_unavailable()
    if reason is not None:
        return reason
    try:
        worker = backend.start(0)
    except InfraError as error:
        return str(error)
    try:
        outcome = worker.run(RunRequest(source="print(6 * 7)"))
    except InfraError as error:
        return str(error)
    finally:
        worker.close()
    return None if outcome.stdout == b"42\n" else f"a probe ended in {outcome}"


def choose_backend(name: str = "auto", *, allow_unsafe: bool = False) -> Backend:
    """The named backend, or the strongest one that works here.

    Raises UserError if there is none: programs never run without a jail unless
    `allow_unsafe` says so.
    """
    if name != "auto" and name not in BACKENDS:
        known = ", ".join(["auto", *BACKENDS])
        raise UserError(f"The sandbox backend must be one of {known}; got {name!r}.")
    names = [name]
    if name == "auto":
        names = [backend.name for backend in _ALL if backend.is_for_auto]
    reasons = []
    for candidate in names:
        if candidate == Unsafe.name and not allow_unsafe:
            reasons.append("unsafe: it is no jail, and allow_unsafe is not set")
            continue
        reason = why_not_working(candidate)
        if reason is None:
            for line in reasons:
                logger.warning("sandbox backend not used: %s", line)
            logger.info("sandbox backend: %s", candidate)
            return BACKENDS[candidate]
        reasons.append(f"{candidate}: {reason}")
    raise UserError(
        "No sandbox works here, and untrusted programs do not run without one.\n  "
        + "\n  ".join(reasons)
        + "\nInstall bubblewrap, or, if you trust every program that will run, set "
        "allow_unsafe."
    )
