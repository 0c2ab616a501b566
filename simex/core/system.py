"""What the machine under this process offers."""

import os
import sys


def num_usable_cores() -> int:
    """Cores that this process may use, at least 1; not all that the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
