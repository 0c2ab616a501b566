"""Where the problems of a split lie, by the stage that left them."""

import pathlib


def problems_path(workdir: pathlib.Path, stage: str, split: str) -> pathlib.Path:
    """The file of records of a split: "rl", "validation" or "test".

    `make_problems` sets problems apart for RL. `import_problems` does not, as published
    data sets do not: there RL asks about the problems for training.
    """
    path = workdir / stage / f"{split}.jsonl"
    if split == "rl" and not path.exists():
        return path.with_name("train.jsonl")
    return path
