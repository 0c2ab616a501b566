"""Settings of the process that make the CPU a better accelerator."""

import platform
import subprocess
import sys

import pytest

# 1,280 x 8,192 float32 values are 40 MiB, or 10,240 pages of 4 KiB; XLA asks for three
# such blocks a call. Blocks above 32 MiB are always given back by glibc's own settings.
COUNT_FAULTS = """
import resource, sys
from simex.sharding.cpu import configure_cpu_devices, keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
configure_cpu_devices(1)
import jax, jax.numpy as jnp
f = jax.jit(lambda x: jnp.cumsum(jnp.outer(x, x[:1280])).sum())
x = jnp.ones(8192)
counts = []
for _ in range(30):  # the heap reaches its size within some ten calls
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(f(x))
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(counts[20:])[5])
"""


def _count_faults(word: str) -> int:
    command = [sys.executable, "-c", COUNT_FAULTS, word]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_kept_memory_is_not_asked_for_again_at_every_call() -> None:
    assert _count_faults("give_back") > 3 * 10_240 * 0.9
    assert _count_faults("keep") < 3_000
