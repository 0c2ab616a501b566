"""A small farm: jobs and a constructor that experiment files of these tests name."""

import dataclasses
import pathlib

import gin
import pytest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Barn:
    width: int = 4
    doors: tuple[str, ...] = ("front",)

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"Barn.width must be at least 1; got {self.width}.")


def count_sheep(
    workdir: pathlib.Path, *, num_sheep: int, breed: str = "merino"
) -> None:
    """Writes one sheep a line; goes on after those that are already there."""
    path = workdir / "count_sheep" / "sheep.txt"
    with open(path, "a") as file:
        num_before = len(path.read_text().splitlines())
        file.write(f"{breed}\n" * (num_sheep - num_before))


def build(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    barn: Barn = Barn(),
    speed: float = 1.0,
) -> None:
    """Writes what it was given into the folder that the runner gives it."""
    with open(stage_dir / "built.txt", "a") as file:
        file.write(f"{barn.width} {speed} {workdir.name}\n")


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of the farm alone, whatever other tests have imported."""
    empty = gin.selector_map.SelectorMap()
    for selector, found in gin.config._REGISTRY.items():
        if selector.startswith("gin.") or selector == "simex.run":
            empty[selector] = found
    monkeypatch.setattr(gin.config, "_REGISTRY", empty)
    monkeypatch.setattr(gin.config, "_INVERSE_REGISTRY", {})
    gin.configurable(count_sheep)
    gin.configurable(build)
    gin.external_configurable(Barn)


@pytest.fixture
def write_gin(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, farm: None):
    """Writes an experiment file into the current folder; the path as a user types it."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "farm.gin") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write
