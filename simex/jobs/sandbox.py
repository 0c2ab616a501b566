"""Shared settings: how jobs open the sandbox."""

import dataclasses

from simex.core.names import unknown_name
from simex.sandbox.backends import BACKENDS
from simex.sandbox.pool import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """How many workers, and which jail."""

    num_workers: int | None = None  # None: one for each usable core
    backend: str = "auto"  # the strongest that this machine can do
    allow_unsafe: bool = False  # accept a machine that has no jail at all

    def __post_init__(self) -> None:
        """Raises UserError for a backend that nobody knows."""
        known = ("auto", *BACKENDS)
        if self.backend not in known:
            raise unknown_name("sandbox backend", self.backend, known)

    def open_pool(self, *, other_hash_seed: bool = False) -> SandboxPool:
        """A pool of workers; use it as a context manager.

        With another hash seed, programs that print in the order of a set of texts
        print something else than usual.
        """
        return SandboxPool(
            num_workers=self.num_workers,
            backend=self.backend,
            allow_unsafe=self.allow_unsafe,
            switched_off=frozenset({"hash_seed"} if other_hash_seed else ()),
        )
