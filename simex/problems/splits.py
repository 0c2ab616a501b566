"""Where the problems of a split lie, by the stage that left them."""

import pathlib

from simex.core.errors import UserError

SPLITS = ("train", "validation", "test")


def problems_path(workdir: pathlib.Path, stage: str, split: str) -> pathlib.Path:
    """The file of records of a split: "rl", "validation" or "test".

    `make_problems` sets problems apart for RL. `import_problems` does not, as published
    data sets do not: there RL asks about the problems for training.
    """
    path = workdir / stage / f"{split}.jsonl"
    if split == "rl" and not path.exists():
        return path.with_name("train.jsonl")
    return path


def refuse_file(stage: str, *, setting: str) -> None:
    """Raises UserError for a file of problems where the stage that left it is asked for.

    Settings that read one split alone name its file; who reads several names the stage.
    """
    if stage.endswith(".jsonl"):
        raise UserError(
            f"{setting} must be a stage, whose file of each split is read; got the file "
            f'{stage!r}. Name the stage alone, such as "import_problems".'
        )
