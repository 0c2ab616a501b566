"""The CPU as an accelerator: one device per core, and a compile cache on disk."""

import ctypes
import os
import pathlib
import re

import jax

from simex.core.errors import UserError

_DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"
_EIGEN_FLAG = "--xla_cpu_multi_thread_eigen"
# On a busy machine one device may wait longer for another than XLA's 40 seconds.
_PATIENCE_FLAG = "--xla_cpu_collective_call_terminate_timeout_seconds"
_PATIENCE_SECS = 600

# Parameters of mallopt(3), by their numbers in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_LARGEST_INT = (1 << 31) - 1  # mallopt takes an int


def configure_cpu_devices(num_devices: int) -> None:
    """Makes `num_devices` CPU devices, each with one thread for its matmuls.

    Data parallelism over single-threaded devices beats one device with a thread pool
    on small models: every operator runs on all cores, not only the large matmuls.
    Must be called before jax touches a device; on a machine whose jax backend is not
    the CPU it has no effect. Raises UserError when the backend is already up with
    another number of devices, or when `num_devices` is not positive.
    """
    if num_devices < 1:
        raise UserError(
            f"The number of CPU devices must be at least 1, but it is {num_devices}. "
            "Set it to the number of cores."
        )
    if _is_backend_up():
        if len(jax.devices("cpu")) != num_devices:
            raise UserError(
                f"{num_devices} CPU devices were asked for, but jax has already "
                f"started with {len(jax.devices('cpu'))}. Call configure_cpu_devices "
                "before anything that creates a jax array."
            )
        return
    flags = os.environ.get("XLA_FLAGS", "")
    for flag in (_DEVICE_COUNT_FLAG, _EIGEN_FLAG, _PATIENCE_FLAG):
        flags = re.sub(rf"{flag}=\S*", "", flags)
    added = [f"{_DEVICE_COUNT_FLAG}={num_devices}"]
    if num_devices > 1:
        added += [f"{_EIGEN_FLAG}=false", f"{_PATIENCE_FLAG}={_PATIENCE_SECS}"]
    os.environ["XLA_FLAGS"] = " ".join([*flags.split(), *added])


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


def configure_compile_cache(directory: pathlib.Path) -> None:
    """Keeps compiled programs in `directory`, so that a second run skips compiling."""
    directory.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _is_backend_up() -> bool:
    from jax._src import xla_bridge  # no public question "has it started" exists

    return xla_bridge.backends_are_initialized()
