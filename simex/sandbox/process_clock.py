"""What a process has used so far, asked from outside.

Runs inside the box: standard library only.
"""

import mmap
import time


class ProcessClock:
    """CPU seconds, resident bytes and seconds spent waiting for a CPU of a child."""

    def __init__(self, pid: int):
        self._clock = (~pid << 3) | 2  # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
        self._folder = f"/proc/{pid}/"

    def cpu_secs(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0

    def resident_bytes(self) -> int:
        try:
            with open(self._folder + "statm") as file:
                return int(file.read().split()[1]) * mmap.PAGESIZE
        except OSError:
            return 0

    def waiting_secs(self) -> float:
        """Of the main thread; 0 where the kernel does not tell."""
        try:
            with open(self._folder + "schedstat") as file:
                return int(file.read().split()[1]) / 1e9
        except OSError:
            return 0.0


def count_host_memory_kills() -> int:
    """Processes that the kernel has ended because the machine ran out of memory."""
    try:
        with open("/proc/vmstat") as file:
            return int(file.read().split("oom_kill ")[1].split()[0])
    except (OSError, IndexError):
        return 0
