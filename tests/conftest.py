"""Strict tests: 8 fake CPU devices, checked shapes, no silent rank promotion.

pytest imports this file before any test module, hence before jax.
"""

import importlib.util
import os
import pathlib
import sys

NUM_DEVICES = 8
DEVICE_ROOMS = ("sharding", "models", "train", "sampling", "sft", "rl")

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={NUM_DEVICES} "
    "--xla_cpu_multi_thread_eigen=false "
    # Eight threads on a busy machine may wait for each other longer than 40 seconds.
    "--xla_cpu_collective_call_terminate_timeout_seconds=300"
)
# A mistyped shape such as `a_BT + b_T` must be written out, not guessed.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# Child processes of tests import simex from this checkout, wherever they start.
REPOSITORY = pathlib.Path(__file__).parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
)


def _check_shapes_of_device_rooms() -> None:
    """Has beartype check every jaxtyping annotation of the device rooms at a call."""
    from jaxtyping import install_import_hook

    rooms = [f"simex.{room}" for room in DEVICE_ROOMS]
    loaded = [r for r in rooms if r in sys.modules]
    if loaded:
        raise RuntimeError(f"The shape check must come before the import of {loaded}.")
    install_import_hook(rooms, "beartype.beartype")


if importlib.util.find_spec("jax") is not None:
    _check_shapes_of_device_rooms()
