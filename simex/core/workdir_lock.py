"""One run at a time in a workdir."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from simex.core.errors import UserError


@contextlib.contextmanager
def hold_workdir(workdir: pathlib.Path) -> Iterator[None]:
    """Keeps other processes from running in `workdir` until the block ends.

    The lock is the process's own (`lockf`): it goes with the process however that
    ends, and a forked worker that outlives its parent does not keep it.

    Raises:
      UserError: another process runs there; the message names it.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"Only one run at a time may use {workdir}; {holder} runs there. "
                "Wait for it, stop it, or choose another --workdir."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
        file.truncate(0)
