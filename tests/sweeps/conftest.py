"""A sweep over the field of `field.py`."""

import json
import pathlib
import sys
import types
from collections.abc import Callable

import gin
import pytest

import simex.core.config  # noqa: F401  (registers `run`, before the registry is replaced)
from simex.commands import sweep as sweep_command
from simex.main import main
from tests.sweeps import field

ROOT = pathlib.Path("runs/field.sweep")


@pytest.fixture
def in_field(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own that holds field.gin."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("field.gin").write_text(field.FIELD)


@pytest.fixture
def sweep(
    in_field: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., tuple[int, str, str]]:
    """Calls `simex sweep field.gin WORDS`: exit code, stdout, stderr.

    The sweep is in this process, its runs in processes of their own.
    """
    empty = gin.selector_map.SelectorMap()
    for selector, found in gin.config._REGISTRY.items():
        if selector.startswith("gin.") or selector == "simex.run":
            empty[selector] = found
    monkeypatch.setattr(gin.config, "_REGISTRY", empty)
    monkeypatch.setattr(gin.config, "_INVERSE_REGISTRY", {})
    field.register()
    wiring = types.ModuleType("simex.jobs.wiring")
    wiring.__dict__["register"] = lambda: None
    monkeypatch.setitem(sys.modules, "simex.jobs.wiring", wiring)
    monkeypatch.setattr(sweep_command, "simex_command", field.simex_command)
    monkeypatch.setattr("simex.sweeps.local.SECS_BETWEEN_LOOKS", 0.02)

    def run_sweep(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["sweep", "field.gin", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_sweep


def read_table() -> dict[str, dict]:
    """The runs of results.json by their names."""
    runs = json.loads((ROOT / "results.json").read_text())["runs"]
    return {run["name"]: run for run in runs}
