"""Looking at processes from outside, by /proc."""

import os
import pathlib
import time
from collections.abc import Callable, Collection

Identity = tuple[int, str]  # pid and start time: pids come back, this pair does not


def descendants(pid: int, *, spared: Collection[int] = ()) -> list[int]:
    """All processes below `pid`, as the host numbers them, but those of `spared`."""
    found = []
    for child in _children(pid):
        if child not in spared:
            found += [child, *descendants(child, spared=spared)]
    return found


def _children(pid: int) -> list[int]:
    folder, found = pathlib.Path(f"/proc/{pid}/task"), []
    try:
        for task in os.listdir(folder):
            found += (folder / task / "children").read_text().split()
    except OSError:
        pass  # it ended meanwhile
    return [int(child) for child in found]


def _read_stat(pid: int) -> list[str]:
    """State first; empty once it is no more."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def is_alive(pid: int) -> bool:
    fields = _read_stat(pid)
    return bool(fields) and fields[0] != "Z"


def is_zombie(pid: int) -> bool:
    return _read_stat(pid)[:1] == ["Z"]


def identify(pid: int) -> Identity | None:
    fields = _read_stat(pid)
    return (pid, fields[19]) if fields else None


def is_same_alive(identity: Identity) -> bool:
    return is_alive(identity[0]) and identify(identity[0]) == identity


def parent_of(pid: int) -> int:
    """0 once it is no more."""
    fields = _read_stat(pid)
    return int(fields[1]) if fields else 0


def resident_mib(pid: int) -> float:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) / 256


def num_descriptors(pid: int) -> int:
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def wait_until(condition: Callable[[], object], *, timeout_secs: float = 20) -> bool:
    deadline = time.monotonic() + timeout_secs
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
