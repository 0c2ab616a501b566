"""The CPU as an accelerator: one device per core, and a compile cache on disk."""

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


def configure_compile_cache(directory: pathlib.Path) -> None:
    """Keeps compiled programs in `directory`, so that a second run skips compiling."""
    directory.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _is_backend_up() -> bool:
    from jax._src import xla_bridge  # no public question "has it started" exists

    return xla_bridge.backends_are_initialized()
