"""Host rooms run where jax is not installed."""

import pathlib
import pkgutil
import subprocess
import sys

import pytest

import simex

HOST_ROOMS = ("problems", "sandbox", "traces", "nlex", "tokens", "tasks", "data")

CODE = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    importlib.import_module(module.name)
unwanted = {"jax", "jaxlib", "flax", "optax", "orbax", "tensorflow"}
print(sorted(unwanted & set(sys.modules)))
"""


@pytest.mark.parametrize("room", HOST_ROOMS)
def test_a_host_room_brings_neither_jax_nor_tensorflow_along(room):
    ended = subprocess.run(
        [sys.executable, "-c", CODE, f"simex.{room}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "[]\n"


def test_every_room_is_a_package():
    root = pathlib.Path(simex.__file__).parent
    folders = {p.name for p in root.iterdir() if p.is_dir() and p.name[0] != "_"}
    packages = {m.name for m in pkgutil.iter_modules([str(root)]) if m.ispkg}
    assert folders == packages
