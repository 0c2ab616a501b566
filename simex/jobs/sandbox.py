"""Shared settings: how jobs open the sandbox, and what they note of it."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping

from simex.core.errors import UserError
from simex.core.files import write_atomically
from simex.core.names import unknown_name
from simex.sandbox.backends import BACKENDS
from simex.sandbox.interpreter import find_interpreter
from simex.sandbox.pool import SandboxPool

NOTE = "sandbox.json"  # in the folder of a stage
_AND = " and "


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


def note_sandbox(folder: pathlib.Path, pool: SandboxPool) -> None:
    """Keeps in sandbox.json the jail and the Python that run a stage's programs.

    Where another jail ran some of them before the stage was stopped, both are named.

    Raises:
      UserError: another Python did.
    """
    path = folder / NOTE
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    require_same_python(before, path)
    backends = {**dict.fromkeys(_backends(before)), pool.backend_name: None}
    note = {"backend": _AND.join(backends), "python": find_interpreter().version}
    with write_atomically(path) as file:
        json.dump(note, file)


def require_same_python(note: Mapping[str, str], path: pathlib.Path) -> None:
    """Raises UserError where `note`, read from `path`, names another Python than ours.

    Programs print other texts and leave other traces under another version, so one set
    of data has one; a note of an older simex names none.
    """
    ours = find_interpreter().version
    if (before := note.get("python", ours)) != ours:
        raise UserError(
            f"{path} says that programs ran under Python {before}, and the rest must "
            f"too; this is {ours}. Go on with that one, or begin in another --workdir."
        )


def load_backends(folders: Iterable[pathlib.Path]) -> str:
    """The jails that stages noted, "" where none did."""
    notes = [
        json.loads((folder / NOTE).read_text(encoding="utf-8"))
        for folder in folders
        if (folder / NOTE).exists()
    ]
    return _AND.join(dict.fromkeys(b for note in notes for b in _backends(note)))


def warn_of_weaker(backends: str) -> tuple[str, ...]:
    """A sentence if any jail of `backends`, as `load_backends` has them, is weaker."""
    found = [name for name in backends.split(_AND) if name]
    weaker = [n for n in found if not n.removeprefix("ray:").startswith("bubblewrap")]
    if not weaker:
        return ()
    warning = (
        f"Programs ran in the jail {_AND.join(weaker)!r}, the strongest that their "
        "machine could do. With bubblewrap installed they run in namespaces of their own."
    )
    return (warning,)


def _backends(note: Mapping[str, str]) -> list[str]:
    return [name for name in note.get("backend", "").split(_AND) if name]
