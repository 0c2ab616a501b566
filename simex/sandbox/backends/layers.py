"""The walls that both Linux backends raise around each child."""

import os
from typing import Any

from simex.sandbox import interpreter

# The names a test may switch off, one at a time, to see another test fail. Without
# "hash_seed" a second pool finds programs that depend on the order of hashes.
SWITCHES = frozenset({"hash_seed", "uid", "landlock", "seccomp", "network"})

# Between the users of people and those of systemd nobody has an account.
_FIRST_UID, _NUM_UIDS = 60_706, 478


def count_usable_cores() -> int:
    """Cores that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def uid_for(slot: int) -> int:
    """A user of its own for each worker, so that thread limits are not shared."""
    return _FIRST_UID + (os.getpid() * 7 + slot) % _NUM_UIDS


def make_layers(
    *,
    uid: int | None,
    limits_threads: bool,
    readable: list[str],
    switched_off: frozenset[str],
) -> dict[str, Any]:
    """The fields of `confine.Layers`, ready for JSON."""
    if not switched_off <= SWITCHES:
        raise ValueError(f"Known layers: {sorted(SWITCHES)}; got {switched_off}.")
    return {
        "uid": None if "uid" in switched_off else uid,
        "limits_threads": limits_threads and "uid" not in switched_off,
        "uses_landlock": "landlock" not in switched_off,
        "uses_seccomp": "seccomp" not in switched_off,
        "readable": [*readable, *interpreter.DEVICES],
        "writable_devices": interpreter.WRITABLE_DEVICES,
    }
