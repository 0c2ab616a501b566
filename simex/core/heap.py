"""The memory that this process has freed: kept for its next allocation, but not all of it.

Settings of glibc's malloc; with another C library nothing is changed.
"""

import ctypes
import os
import pathlib

# Parameters of mallopt(3), by their numbers in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_LARGEST_INT = (1 << 31) - 1  # mallopt takes an int


def keep_freed_memory() -> bool:
    """Lets this process keep the memory that it frees, for its next allocation.

    XLA's CPU client asks malloc for one block of temporaries a device and call, and
    frees it at the end. glibc gives so large a block back to the system, which must
    hand out and clear every page again at the next step: 52,000 page faults a step of
    the quickstart, a third of its CPU time. Returns whether the C library took the
    three settings (only glibc does).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # One heap for all threads: the heap of a thread cannot grow beyond 64 MiB. What is
    # free at its end is kept up to an eighth of the machine's memory: a step of 4,096
    # tokens and 13.8M params frees 1.9 GB, and to get those again takes a third of it.
    # What is free further inside is kept in any case: see `trim_freed_memory`.
    kept = _memory_bytes() // 8
    if kept > _LARGEST_INT:
        kept = -1  # without a limit
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, kept), (_M_ARENA_MAX, 1))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def trim_freed_memory() -> bool:
    """Gives free memory back where this process keeps too much; to be called each step.

    Blocks of many sizes, as RL needs them, leave holes in the one heap, which grows
    though little of it is used (laptop.gin: 12 GB after two minutes of RL, of which 1.3
    were). Nothing happens while what is not used stays within a quarter of the machine's
    memory, nor with another C library than glibc. Returns whether anything was given back.
    """
    try:
        libc = ctypes.CDLL(None)
        read, trim = libc.mallinfo2, libc.malloc_trim
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except (AttributeError, OSError, TypeError):
        return False
    read.restype = _MallInfo
    unused = pages * os.sysconf("SC_PAGE_SIZE") - read().uordblks
    return unused > _memory_bytes() // 4 and trim(0) == 1


class _MallInfo(ctypes.Structure):
    """struct mallinfo2 of glibc's malloc.h; `uordblks` are the bytes in use."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
