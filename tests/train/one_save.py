"""Saves three steps and dies in the third: `python -m tests.train.one_save FOLDER WHEN`.

WHEN is "incomplete", as the third step is about to get its name, or "complete", when it
has it and an older one is about to be deleted.
"""

import os
import pathlib
import shutil
import sys
from typing import Any

from simex.train.checkpoint import Checkpoints

REWARD = "validation/reward"
SAVED = {1: 0.9, 2: 0.5, 3: 0.95}


def main() -> None:
    """Saves and dies."""
    folder, when = pathlib.Path(sys.argv[1]), sys.argv[2]
    checkpoints = Checkpoints(folder, keep_last=1, best_metric=REWARD, is_writer=True)
    for step, reward in SAVED.items():
        if step == 3 and when == "incomplete":
            die_at(os, "rename", {folder / "3"})
            die_at(os, "replace", {folder / "3"})
        if step == 3 and when == "complete":
            die_at(shutil, "rmtree", {folder / "1", folder / "2"})
        checkpoints.save(step, {"extra": {"step": step}}, metrics={REWARD: reward})
    raise AssertionError("It should have died.")


def die_at(module: Any, name: str, paths: set[pathlib.Path]) -> None:
    """A call of a function with one of `paths` ends the process as a kill would."""
    real = getattr(module, name)

    def call(*arguments: Any, **settings: Any) -> Any:
        if any(
            isinstance(a, str | os.PathLike) and pathlib.Path(a) in paths
            for a in arguments
        ):
            os._exit(9)
        return real(*arguments, **settings)

    setattr(module, name, call)


if __name__ == "__main__":
    main()
