"""The compiler's words for "this does not fit", as numbers and one sentence."""

import re

from simex.plans.report import Refusal

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"
# libtpu names the need in several sentences; each gives (needed) or (needed, available).
_PATTERNS = (
    rf"\({_SIZE}\) exceeds available HBM \({_SIZE}\)",
    rf"Used {_SIZE} of {_SIZE} hbm",
)


def parse_refusal(message: str) -> Refusal | None:
    """The refusal in a compiler's error message; None if it is about something else.

    Example: "RESOURCE_EXHAUSTED: ... (48.96G) exceeds available HBM (15.75G)." gives
    48.96 and 15.75 GiB.
    """
    if "RESOURCE_EXHAUSTED" not in message and "Ran out of memory" not in message:
        return None
    for pattern in _PATTERNS:
        if found := re.search(pattern, message):
            needed = _bytes(found[1], found[2])
            available = _bytes(found[3], found[4])
            return Refusal(
                reason=f"needs {gib(needed)} of {gib(available)}",
                needed_bytes=needed,
                available_bytes=available,
            )
    return Refusal(reason=message.strip().split("\n")[0])


def gib(num_bytes: float) -> str:
    """1.5 GiB, or MiB where that reads better."""
    if num_bytes < 2**30 / 10:
        return f"{num_bytes / 2**20:.1f} MiB"
    return f"{num_bytes / 2**30:.2f} GiB"


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * _UNITS[unit])
